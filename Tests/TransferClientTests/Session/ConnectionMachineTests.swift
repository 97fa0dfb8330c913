// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct ConnectionMachineTests {
    typealias Action = ConnectionMachine.Action

    private static let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let gone = ConnectionError(
        .session, "the relay is gone", advice: "try again", status: .unreachable, isTemporary: true
    )
    private static let wrong = ConnectionError(.login, "not known", advice: "look", status: .refused)

    private enum Location: CaseIterable {
        case none
        case connecting
        case open
        case answered
        case leaving
        case moving
    }

    private enum Event: CaseIterable {
        case wanted
        case connected
        case lost
        case lostForGood
        case moveAsked
        case moveFailed
        case moveFailedForGood
        case leave
        case idle
        case answered
        case waitedInVain
    }

    private static func machine(_ place: Location) -> ConnectionMachine {
        var machine = ConnectionMachine()
        if place == .none { return machine }
        _ = machine.wanted()
        if place == .connecting { return machine }
        _ = machine.connected()
        if place == .answered { _ = machine.relayAnswered(now: begin) }
        if place == .leaving { machine.leave(.elsewhere, "draining") }
        if place == .moving { _ = machine.moveAsked() }
        return machine
    }

    private static func feed(_ event: Event, to machine: inout ConnectionMachine) -> [Action] {
        var generator = Constant()
        switch event {
        case .wanted: return machine.wanted()
        case .connected: return machine.connected()
        case .lost: return machine.lost(gone, now: begin, using: &generator)
        case .lostForGood: return machine.lost(wrong, now: begin, using: &generator)
        case .moveAsked: return machine.moveAsked()
        case .moveFailed: return machine.moveFailed(gone, now: begin, using: &generator)
        case .moveFailedForGood: return machine.moveFailed(wrong, now: begin, using: &generator)
        case .leave:
            machine.leave(.elsewhere, "draining")
            return []
        case .idle: return machine.idle(now: begin, using: &generator)
        case .answered: return machine.relayAnswered(now: begin)
        case .waitedInVain:
            machine.waitedInVain()
            return []
        }
    }

    private static func again(_ reason: String) -> [Action] {
        [
            .reportReconnecting(reason: reason, attempt: 1, pause: .milliseconds(200)),
            .connect(after: .milliseconds(200)),
        ]
    }

    /// Where `event` leads from `place`, and with what; nil where it changes nothing and asks for nothing.
    private static func expected(_ place: Location, _ event: Event) -> (state: ConnectionMachine.State, [Action])? {
        let leaving = ConnectionMachine.State.leaving(.elsewhere, reason: "draining")
        switch (place, event) {
        case (.none, .wanted): return (.connecting, [.connect(after: nil)])
        case (.none, .connected): return (.none, [.close])
        case (.connecting, .connected): return (.open(isProved: false), [])
        // It had not worked, so a session that ends is worth a few quick tries.
        case (.connecting, .lost), (.open, .lost), (.answered, .lost), (.leaving, .lost):
            return (.connecting, again("the relay is gone"))
        case (.connecting, .lostForGood), (.open, .lostForGood), (.answered, .lostForGood), (.leaving, .lostForGood):
            return (.none, [.giveUp(wrong)])
        case (.open, .leave), (.answered, .leave): return (leaving, [])
        case (.leaving, .idle): return (.connecting, [.close] + again("draining"))
        case (.open, .answered): return (.open(isProved: true), [])
        case (.open, .moveAsked), (.answered, .moveAsked), (.leaving, .moveAsked):
            return (.moving, [.connect(after: nil)])
        case (.moving, .connected): return (.open(isProved: false), [.replace])
        // Nothing is missing as long as the other one stands, and nothing is said.
        case (.moving, .moveFailed): return (.moving, [.connect(after: .milliseconds(200))])
        case (.moving, .moveFailedForGood): return (.open(isProved: true), [])
        // The next one is being made already.
        case (.moving, .lost):
            return (.connecting, [.reportReconnecting(reason: "the relay is gone", attempt: 1, pause: .zero)])
        case (.moving, .lostForGood):
            return (.connecting, [.reportReconnecting(reason: "not known", attempt: 1, pause: .zero)])
        case (.connecting, .moveFailed): return (.connecting, again("the relay is gone"))
        case (.connecting, .moveFailedForGood): return (.none, [.giveUp(wrong)])
        case (.none, _), (.connecting, _), (.open, _), (.answered, _), (.leaving, _), (.moving, _): return nil
        }
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            for event in Event.allCases {
                var machine = Self.machine(place)
                let before = machine.state
                let actions = Self.feed(event, to: &machine)
                let expected = Self.expected(place, event)
                #expect(machine.state == expected?.state ?? before, "\(place), \(event)")
                #expect(actions == expected?.1 ?? [], "\(place), \(event)")
                #expect(machine.isOpen == ([.open(isProved: false), .open(isProved: true)].contains(machine.state)))
            }
        }
    }

    @Test func onlyWhatHadWorkedIsLookedForAgain() {
        var generator = Constant()
        let refused = ConnectionError(
            .tcp, "connection refused", advice: "look", status: .unreachable, isTemporary: true
        )
        var first = Self.machine(.connecting)
        #expect(first.lost(refused, now: Self.begin, using: &generator) == [.giveUp(refused)])
        var later = Self.machine(.open)
        #expect(later.lost(refused, now: Self.begin, using: &generator) == Self.again("connection refused"))
        // While it is away it may be waited for in vain, and is not looked for a second time.
        later.waitedInVain()
        #expect(later.lost(refused, now: Self.begin, using: &generator) == [.giveUp(refused)])
        // The next one that wants it tries once.
        #expect(later.wanted() == [.connect(after: nil)])
    }

    @Test func aRelayThatSaysThatItCannotNowIsThere() {
        var generator = Constant()
        let busy = ConnectionError(
            .webSocket, "full", advice: "wait", status: .unreachable, isTemporary: true, code: .unavailable
        )
        var machine = Self.machine(.connecting)
        #expect(machine.lost(busy, now: Self.begin, using: &generator).count == 2)
        let refused = ConnectionError(
            .tcp, "connection refused", advice: "look", status: .unreachable, isTemporary: true
        )
        #expect(machine.lost(refused, now: Self.begin, using: &generator).count == 2)
    }

    @Test func thePersonHearsOnceThatItIsBack() {
        var generator = Constant()
        var machine = Self.machine(.answered)
        for attempt in 1...3 {
            let actions = machine.lost(Self.gone, now: Self.begin, using: &generator)
            guard case .reportReconnecting(_, attempt, _)? = actions.first else {
                Issue.record("\(actions)")
                return
            }
            _ = machine.connected()
        }
        #expect(machine.relayAnswered(now: Self.begin) == [.reportReconnected])
        #expect(machine.relayAnswered(now: Self.begin) == [])
        // What went well counts from one again.
        let actions = machine.lost(Self.gone, now: Self.begin, using: &generator)
        guard case .reportReconnecting(_, 1, _)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
    }

    @Test func aMoveThatTakesSeveralTriesIsNotSaid() {
        var generator = Constant()
        var machine = Self.machine(.moving)
        for pause in [200, 400, 800] as [Int64] {
            let actions = machine.moveFailed(Self.gone, now: Self.begin, using: &generator)
            #expect(actions == [.connect(after: .milliseconds(pause))])
        }
        #expect(machine.connected() == [.replace])
        #expect(machine.relayAnswered(now: Self.begin) == [])
        // The one that stood is gone meanwhile: that is said, and that the relay is back.
        #expect(machine.moveAsked() == [.connect(after: nil)])
        _ = machine.lost(Self.gone, now: Self.begin, using: &generator)
        #expect(machine.connected() == [])
        #expect(machine.relayAnswered(now: Self.begin) == [.reportReconnected])
    }

    @Test func whatCannotBeBetterElsewhereIsNoReasonToLeave() {
        var generator = Constant()
        var machine = Self.machine(.open)
        machine.leave(.final, "no")
        #expect(machine.idle(now: Self.begin, using: &generator) == [])
        #expect(machine.isOpen && !machine.isLeaving)
    }

    @Test func aLimitIsWaitedForAtTheOtherNode() {
        var generator = Constant()
        var machine = Self.machine(.open)
        machine.leave(RetryDecision(.tooManySessions), "too many")
        #expect(
            machine.idle(now: Self.begin, using: &generator) == [
                .close, .reportReconnecting(reason: "too many", attempt: 1, pause: TransferDefaults.pauseWhenLimited),
                .connect(after: TransferDefaults.pauseWhenLimited),
            ]
        )
    }
}
