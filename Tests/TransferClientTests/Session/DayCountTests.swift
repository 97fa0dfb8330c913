// SPDX-License-Identifier: Apache-2.0

import Sealing
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct DayCountTests {
    private let first = CarriedTransfer.random()
    private let second = CarriedTransfer.random()

    private func reserve(
        _ count: inout DayCount, _ transfer: CarriedTransfer, _ needed: UInt64?, most: UInt64? = nil
    ) -> UInt64? { count.reserve(transfer, needed: needed, limit: 100, most: most) }

    @Test func whatIsAcceptedCountsAtOnce() {
        var count = DayCount(day: "2026-06-01")
        #expect(reserve(&count, first, 60) == 60 && count.bytes == 60)
        #expect(reserve(&count, second, 41) == nil && count.bytes == 60)
        #expect(reserve(&count, second, 40) == 40 && count.bytes == 100)
        // What did not come is given back.
        count.settle(first, bytes: 10)
        #expect(count.bytes == 50)
        count.settle(first, bytes: 1_000)
        #expect(count.bytes == 50)
    }

    @Test func aTransferThatGoesOnCountsOnce() {
        var count = DayCount(day: "2026-06-01")
        #expect(reserve(&count, first, 90) == 90)
        #expect(reserve(&count, first, 50) == 50 && count.bytes == 90)
        #expect(reserve(&count, second, 11) == nil)
        count.settle(first, bytes: 90)
        #expect(count.bytes == 90 && count.open.isEmpty)
    }

    /// Or a sender who lets a transfer break just before its end would count for that end alone.
    @Test func whatCameBeforeABreakCounts() {
        for (came, bytes) in [(50, 90), (10, 50), (0, 40)] as [(UInt64, UInt64)] {
            var count = DayCount(day: "2026-06-01")
            #expect(reserve(&count, first, 90) == 90)
            #expect(reserve(&count, first, 50) == 50)
            count.settle(first, bytes: came, needed: 50)
            #expect(count.bytes == bytes && count.open.isEmpty)
        }
        // It began on another day: what came then counts there.
        var count = DayCount(day: "2026-06-02")
        #expect(reserve(&count, first, 50) == 50)
        count.settle(first, bytes: 50, needed: 50)
        #expect(count.bytes == 50)
    }

    @Test func whatHasNoSizeTakesWhatIsLeft() {
        var count = DayCount(day: "2026-06-01", settled: 30)
        #expect(reserve(&count, first, nil, most: 20) == 20 && count.bytes == 50)
        #expect(reserve(&count, second, nil) == 50 && count.bytes == 100)
        #expect(reserve(&count, .random(), nil) == nil)
        #expect(reserve(&count, .random(), 0) == 0)
        count.settle(second, bytes: 7)
        #expect(count.bytes == 57)
    }

    @Test func anotherDayBeginsAnew() {
        var count = DayCount(day: "2026-06-02", settled: 100)
        count.begin(day: "2026-06-02")
        #expect(reserve(&count, first, 1) == nil)
        for day in ["2026-06-03", "2026-06-01"] {
            count.begin(day: day)
            #expect(count.day == day && count.bytes == 0)
            #expect(reserve(&count, first, 100) == 100)
        }
        // What was begun the day before is not known any more, and costs nothing.
        count.begin(day: "2026-06-02")
        count.settle(first, bytes: 50)
        #expect(count.bytes == 0)
    }

    @Test func noNumberOfBytesOverflowsAndNoNumberOfTransfersIsTooMany() {
        var count = DayCount(day: "2026-06-01", settled: .max)
        count = DayCount(day: "2026-06-01", settled: .max, open: [first: .max])
        #expect(count.bytes == .max && reserve(&count, second, 1) == nil)
        count = DayCount(day: "2026-06-01")
        for number in 1...(2 * TransferDefaults.mostOpenCounts + 1) {
            let granted = count.reserve(.random(), needed: 1, limit: .max, most: nil)
            #expect(granted == 1 && count.bytes == UInt64(number))
            #expect(count.open.count <= TransferDefaults.mostOpenCounts)
        }
    }
}
