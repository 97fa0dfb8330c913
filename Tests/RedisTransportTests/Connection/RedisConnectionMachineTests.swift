// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import RedisTransport

@Suite struct RedisConnectionMachineTests {
    private enum Location: CaseIterable {
        case idle
        case connecting
        case connected
        case waiting
        case stopped
    }

    private func time(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    private func machine(_ place: Location) -> RedisConnectionMachine {
        var generator = SeededGenerator(seed: 1)
        var machine = RedisConnectionMachine(backOff: RedisBackOff(), stableAfter: .seconds(5))
        switch place {
        case .idle: break
        case .connecting: _ = machine.started()
        case .connected:
            _ = machine.started()
            _ = machine.connectSucceeded(now: time(0))
        case .waiting:
            _ = machine.started()
            _ = machine.connectFailed(using: &generator)
        case .stopped: _ = machine.stopped()
        }
        return machine
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            var generator = SeededGenerator(seed: 1)
            var machine = machine(place)
            #expect(machine.started() == (place == .idle ? .connect : .none), "\(place)")

            machine = self.machine(place)
            let announced: RedisConnectionMachine.Action =
                switch place {
                case .connecting: .announce(generation: 1)
                case .stopped: .close
                case .idle, .connected, .waiting: .none
                }
            #expect(machine.connectSucceeded(now: time(0)) == announced, "\(place)")

            machine = self.machine(place)
            let failed = machine.connectFailed(using: &generator)
            if place == .connecting {
                guard case .wait = failed else { return #expect(Bool(false)) }
            } else {
                #expect(failed == .none, "\(place)")
            }

            machine = self.machine(place)
            let ended = machine.connectionEnded(now: time(1), using: &generator)
            if place == .connected {
                guard case .lost = ended else { return #expect(Bool(false)) }
            } else {
                #expect(ended == .none, "\(place)")
            }

            machine = self.machine(place)
            #expect(machine.timerFired() == (place == .waiting ? .connect : .none), "\(place)")

            machine = self.machine(place)
            let stopped: RedisConnectionMachine.Action =
                switch place {
                case .connected: .close
                case .waiting: .cancelTimer
                case .idle, .connecting, .stopped: .none
                }
            #expect(machine.stopped() == stopped, "\(place)")
            #expect(machine.timerFired() == .none)
            #expect(machine.started() == .none)
        }
    }

    @Test func aStormOfResetsIsNoBusyLoop() {
        var generator = SeededGenerator(seed: 7)
        var machine = RedisConnectionMachine(backOff: RedisBackOff(), stableAfter: .seconds(5))
        var now = time(0)
        var pauses: [TimeAmount] = []
        #expect(machine.started() == .connect)
        for generation in 1...40 {
            #expect(machine.connectSucceeded(now: now) == .announce(generation: generation))
            now = now + .milliseconds(10)
            guard case .lost(let pause) = machine.connectionEnded(now: now, using: &generator) else {
                return #expect(Bool(false))
            }
            pauses.append(pause)
            now = now + pause
            #expect(machine.timerFired() == .connect)
        }
        #expect(pauses.allSatisfy { (RedisDefaults.firstPause...RedisDefaults.longestPause).contains($0) })
        #expect(pauses.contains { $0 > .seconds(2) })
        // 40 connections in well over a minute's half.
        #expect(now > time(30))
    }

    @Test func aConnectionThatStoodBeginsAgainFromTheShortestPause() {
        var generator = SeededGenerator(seed: 3)
        var machine = RedisConnectionMachine(backOff: RedisBackOff(), stableAfter: .seconds(5))
        _ = machine.started()
        for _ in 0..<10 {
            _ = machine.connectFailed(using: &generator)
            _ = machine.timerFired()
        }
        _ = machine.connectSucceeded(now: time(0))
        guard case .lost(let pause) = machine.connectionEnded(now: time(5), using: &generator) else {
            return #expect(Bool(false))
        }
        #expect(pause <= .milliseconds(200))
    }

    @Test func pausesAreSpread() {
        var generator = SeededGenerator(seed: 5)
        var backOff = RedisBackOff(first: .milliseconds(100), longest: .seconds(1))
        #expect((.milliseconds(100) ... .milliseconds(200)).contains(backOff.next(using: &generator)))
        #expect((.milliseconds(100) ... .milliseconds(400)).contains(backOff.next(using: &generator)))
        for _ in 0..<10 { _ = backOff.next(using: &generator) }
        let late = (0..<50).map { _ in backOff.next(using: &generator) }
        #expect(Set(late).count > 40)
        #expect(late.allSatisfy { (.milliseconds(100) ... .seconds(1)).contains($0) })
        var odd = RedisBackOff(first: .seconds(-1), longest: .nanoseconds(.max))
        for _ in 0..<100 { #expect(odd.next(using: &generator) >= .milliseconds(1)) }
    }
}
