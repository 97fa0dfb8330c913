// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayTestFixtures
import ServerSystem
import StreamRelay
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite("Bytes that users move")
struct TrafficLedgerTests {
    private let alice = Owner(name: .test("alice"), address: "192.0.2.1")
    private let bob = Owner(name: .test("bob"), address: nil)
    private let reports = LimitReports(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })

    /// Keeps what it is given.
    private final class Store: TrafficStore {
        let sums = Mutex<[PeerName: UInt64]>([:])
        func load(day: Int64) -> [PeerName: UInt64] { day == 1 ? sums.withLock { $0 } : [:] }
        func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64] {
            sums.withLock { sums in
                sums.merge(moved, uniquingKeysWith: +)
                return sums
            }
        }
    }

    @Test("what another process goes on from is not written over, unless it does not go on")
    func frozen() async throws {
        let temporary = try TemporaryDirectory()
        let directory = try StateDirectory(path: temporary.file("state"))
        let file = TrafficFile(directory: directory)
        _ = await file.add([alice.name: 100], day: 1)
        file.setFrozen(true)
        _ = await file.add([alice.name: 10, bob.name: 1], day: 1)
        #expect(TrafficFile(directory: directory).load(day: 1) == [alice.name: 100])
        file.setFrozen(false)
        #expect(TrafficFile(directory: directory).load(day: 1) == [alice.name: 110, bob.name: 1])
    }

    @Test("each side of a stream counts it, one who is both counts it once, and a day has an end")
    func counting() async throws {
        let day = Mutex<Int64>(1)
        let control = LimitControl(LimitSettings(user: [.day: 1000])) { _ in }
        let ledger = TrafficLedger(limits: control, store: NoTrafficStore(), reports: reports) { day.withLock { $0 } }
        let meters = ledger.meters(of: [alice, bob, alice])
        #expect(meters.count == 3, "two users and an address")
        for meter in meters { #expect(meter.passed(600, now: .now()) == .zero) }
        #expect(ledger.bytesToday(of: alice.name) == 600 && ledger.bytesToday(of: bob.name) == 600)
        #expect(ledger.excessOfDay(alice) == nil)
        await ledger.flush()
        for meter in meters { _ = meter.passed(400, now: .now()) }
        #expect(ledger.bytesToday(of: alice.name) == 1000)
        #expect(ledger.excessOfDay(alice) == .user && ledger.excessOfDay(bob) == .user)
        control.learned(alice.name, [.day: 0])
        #expect(ledger.excessOfDay(alice) == nil, "she alone has no limit; her address has eight times as much")
        for meter in meters { _ = meter.passed(7000, now: .now()) }
        #expect(ledger.excessOfDay(alice) == .address)
        day.withLock { $0 = 2 }
        #expect(ledger.bytesToday(of: alice.name) == 0 && ledger.excessOfDay(bob) == nil)
    }

    @Test("what was counted is there after a restart")
    func restart() async {
        let store = Store()
        let control = LimitControl { _ in }
        let first = TrafficLedger(limits: control, store: store, reports: reports) { 1 }
        for meter in first.meters(of: [alice]) { _ = meter.passed(5, now: .now()) }
        await first.flush()
        await first.flush()
        let second = TrafficLedger(limits: control, store: store, reports: reports) { 1 }
        #expect(second.bytesToday(of: alice.name) == 5)
        #expect(TrafficLedger(limits: control, store: store, reports: reports) { 2 }.bytesToday(of: alice.name) == 0)
    }

    @Test("a rate is shared by the streams of a user, and changes at once")
    func rate() {
        let control = LimitControl { _ in }
        let ledger = TrafficLedger(limits: control, store: NoTrafficStore(), reports: reports) { 1 }
        let (one, two) = (ledger.meters(of: [bob]), ledger.meters(of: [bob]))
        let now = NIODeadline.now()
        #expect(one[0].passed(1 << 30, now: now) == .zero, "there is no limit")
        control.learned(bob.name, [.rate: 1 << 20])
        #expect(one[0].passed(1 << 20, now: now) == .zero, "what may go at once")
        #expect(two[0].passed(1 << 19, now: now) == .milliseconds(500))
        #expect(one[0].passed(1 << 19, now: now) == .seconds(1))
        #expect(reports.counts.met[Limit(.rate, of: .user)] == 2)
        control.apply(limits: LimitSettings(user: [.rate: 1 << 30]))
        #expect(control.most(.rate, of: bob.name) == 1 << 20, "his own limit stays")
        #expect(control.most(.rate, of: alice.name) == 1 << 30)
        #expect(control.mostOfAddress(.rate) == 8 << 30)
    }
}
