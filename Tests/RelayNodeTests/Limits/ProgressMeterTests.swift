// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct ProgressMeterTests {
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let interval = Defaults.Broker.timing.progress

    @Test func eachTransferIsHeardAsOftenAsItsReportsArePassedOn() {
        var meter = ProgressMeter()
        let (one, other) = (TransferID.random(), TransferID.random())
        #expect(meter.reported(one, now: begin) == .passed)
        #expect(meter.reported(other, now: begin) == .passed)
        #expect(meter.reported(one, now: begin + interval - .nanoseconds(1)) == .dropped)
        #expect(meter.reported(one, now: begin + interval) == .passed)
    }

    /// relay-client reports twice a second, on each of 16 transfers; and a network that stood still brings a minute at
    /// once.
    @Test(arguments: [true, false]) func anHonestClientNeverHasTooMany(isAtOnce: Bool) {
        var meter = ProgressMeter()
        let transfers = (0..<Defaults.Progress.transfers).map { _ in TransferID.random() }
        for report in 0..<120 {
            let now = isAtOnce ? begin : begin + .milliseconds(500 * Int64(report))
            for transfer in transfers {
                let verdict = meter.reported(transfer, now: now)
                #expect(verdict == (isAtOnce && report > 0 ? .dropped : .passed))
            }
        }
    }

    @Test(arguments: [true, false]) func aFloodIsTooMuchAndIsForgotten(isOfOneTransfer: Bool) {
        var meter = ProgressMeter()
        let transfer = TransferID.random()
        func report(_ now: NIODeadline) -> ProgressMeter.Verdict {
            meter.reported(isOfOneTransfer ? transfer : .random(), now: now)
        }
        for _ in 0..<(isOfOneTransfer ? 1 : Defaults.Progress.transfers) { #expect(report(begin) == .passed) }
        for _ in 0..<Defaults.Progress.mostDropped { #expect(report(begin) == .dropped) }
        #expect(report(begin) == .excessive)
        #expect(report(begin + Defaults.Progress.interval) == .passed)
        for _ in 0..<Defaults.Progress.transfers { _ = report(begin + Defaults.Progress.interval) }
        #expect(report(begin + Defaults.Progress.interval) == .dropped)
    }
}
