// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct HeartbeatMachineTests {
    private enum Location: CaseIterable {
        case stopped
        case resting
        case waiting
        case retrying
    }

    private func time(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    /// Subscribed at 0; the nonce 7 is published at 5 s.
    private func machine(_ place: Location) -> HeartbeatMachine {
        var machine = HeartbeatMachine(timing: HeartbeatTiming())
        if place == .stopped { return machine }
        #expect(machine.started(now: time(0)) == .wake(time(5000)))
        if place == .resting { return machine }
        #expect(machine.timerFired(now: time(5000), nonce: 7) == .publish(7, wake: time(10_000)))
        if place == .waiting { return machine }
        #expect(machine.publishFailed(7, now: time(6000)) == .wake(time(6500)))
        return machine
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            var machine = machine(place)
            let early: HeartbeatMachine.Action =
                switch place {
                case .stopped: .none
                case .resting: .wake(time(5000))
                case .waiting: .wake(time(10_000))
                case .retrying: .wake(time(6500))
                }
            #expect(machine.timerFired(now: time(4999), nonce: 8) == early, "\(place)")

            machine = self.machine(place)
            let late: HeartbeatMachine.Action =
                switch place {
                case .stopped: .none
                case .resting: .publish(8, wake: time(15_000))
                case .waiting, .retrying: .dead
                }
            #expect(machine.timerFired(now: time(10_000), nonce: 8) == late, "\(place)")

            machine = self.machine(place)
            let isAnswer = place == .waiting || place == .retrying
            #expect(machine.received(7, now: time(7000)) == (isAnswer ? .wake(time(12_000)) : .none), "\(place)")

            machine = self.machine(place)
            #expect(machine.received(9, now: time(7000)) == .none, "\(place)")

            machine = self.machine(place)
            let retry: HeartbeatMachine.Action = place == .waiting ? .wake(time(7500)) : .none
            #expect(machine.publishFailed(7, now: time(7000)) == retry, "\(place)")
            #expect(machine.publishFailed(9, now: time(7000)) == .none, "\(place)")

            machine = self.machine(place)
            machine.stopped()
            #expect(machine.timerFired(now: time(60_000), nonce: 8) == .none)
            #expect(machine.started(now: time(60_000)) == .wake(time(65_000)))
        }
    }

    @Test func aDeadSubscriptionIsNoticedWithin10Seconds() {
        var machine = machine(.waiting)
        #expect(machine.timerFired(now: time(10_000), nonce: 8) == .dead)
        #expect(machine.timerFired(now: time(20_000), nonce: 8) == .none)
    }

    @Test func itIsNoticedAlsoWhileNothingCanBePublished() {
        var machine = machine(.waiting)
        var now = time(5000)
        while true {
            guard case .wake(let next) = machine.publishFailed(7, now: now) else { return #expect(Bool(false)) }
            now = next
            let action = machine.timerFired(now: now, nonce: 8)
            if action == .dead { break }
            #expect(action == .publish(7, wake: time(10_000)))
        }
        #expect(now == time(10_000))
    }

    @Test func heartbeatsAreToldFromMessages() {
        for nonce in [0, 1, UInt64.max] {
            #expect(HeartbeatText.nonce(ByteBuffer(string: HeartbeatText.text(nonce))) == nonce)
        }
        for text in [
            "", "heartbeat 1", "\0heartbeat ", "\0heartbeat x", "\0heartbeat 12345678901234567", "\0heartbeat -1",
        ] {
            #expect(HeartbeatText.nonce(ByteBuffer(string: text)) == nil)
        }
    }
}
