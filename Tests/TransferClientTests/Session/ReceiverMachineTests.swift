// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct ReceiverMachineTests {
    typealias Action = ReceiverMachine.Action
    typealias Goal = ReceiverMachine.Goal
    typealias Presence = ReceiverMachine.Presence

    private static let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let answerDue = begin + .seconds(30)
    private static let stay = begin + TransferDefaults.confirmationPatience
    private static let late = begin + .hours(1)
    private static let problem = ClientError.transfer(TransferFailure(code: .cancelled, "it ended", "nothing"))
    private static let draining = error(.draining)
    private static let refused = error(.loginRefused)

    private static func error(_ code: FailureCode) -> ConnectionError {
        ConnectionError(.login, "no", advice: "look", status: .refused, code: code)
    }

    private enum Where: CaseIterable {
        case away
        case announcing
        case present
    }

    private enum What: CaseIterable {
        case receiving
        case staying
        case over
    }

    private enum Event: CaseIterable {
        case connected
        case announced
        case refusedForNow
        case refusedForGood
        case disconnected
        case unreachable
        case early
        case late
        case receivedAndConfirmed
        case receivedUnheard
        case confirmed
        case failed
        case failedOther
        case spoilt
        case interrupted
    }

    private static func machine(_ place: Where, _ goal: What, isOnce: Bool) -> ReceiverMachine {
        var machine = ReceiverMachine(isOnce: isOnce)
        if place != .away { _ = machine.connected(now: begin) }
        if place == .present { _ = machine.announced() }
        switch goal {
        case .receiving: break
        case .staying: machine.received(isAwaited: true, now: begin)
        case .over: machine.failed(problem, isTheOne: false, isSpoilt: true)
        }
        return machine
    }

    private static func feed(_ event: Event, to machine: inout ReceiverMachine) -> [Action] {
        switch event {
        case .connected: return machine.connected(now: begin)
        case .announced: return machine.announced()
        case .refusedForNow: return machine.refused(draining)
        case .refusedForGood: return machine.refused(refused)
        case .disconnected: machine.disconnected()
        case .unreachable: machine.unreachable(refused)
        case .early: return machine.deadlinePassed(now: begin)
        case .late: return machine.deadlinePassed(now: late)
        case .receivedAndConfirmed: machine.received(isAwaited: false, now: begin)
        case .receivedUnheard: machine.received(isAwaited: true, now: begin)
        case .confirmed: machine.confirmed()
        case .failed: machine.failed(problem, isTheOne: true, isSpoilt: false)
        case .failedOther: machine.failed(problem, isTheOne: false, isSpoilt: false)
        case .spoilt: machine.failed(problem, isTheOne: false, isSpoilt: true)
        case .interrupted: machine.interrupted()
        }
        return []
    }

    /// Where the relay's word and the connection lead.
    private static func presence(_ place: Where, _ event: Event, isOver: Bool) -> Presence {
        switch (place, event) {
        case (_, .connected) where !isOver: .announcing(deadline: answerDue)
        case (.announcing, .announced): .present
        case (_, .disconnected), (.announcing, .refusedForNow), (.announcing, .refusedForGood), (.announcing, .late):
            .away
        case (.away, _): .away
        case (.announcing, _): .announcing(deadline: answerDue)
        case (.present, _): .present
        }
    }

    /// Where an event leads a receiver that goes on.
    private static func goal(_ place: Where, _ goal: What, _ event: Event, isOnce: Bool) -> Goal {
        let failed = Goal.over(.failed(problem, isReported: true))
        switch (goal, event) {
        case (.over, _): return failed
        case (_, .refusedForGood) where place == .announcing:
            return .over(.failed(.connection(refused), isReported: false))
        case (_, .unreachable): return .over(.failed(.connection(refused), isReported: false))
        case (_, .spoilt): return failed
        case (_, .failed) where isOnce: return failed
        case (.receiving, .receivedAndConfirmed) where isOnce: return .over(.done)
        case (.receiving, .receivedUnheard) where isOnce: return .staying(until: stay)
        case (.receiving, .interrupted): return .over(.failed(.interrupted, isReported: false))
        case (.receiving, _): return .receiving
        case (.staying, .late), (.staying, .confirmed), (.staying, .interrupted): return .over(.done)
        case (.staying, _): return .staying(until: stay)
        }
    }

    private static func actions(_ place: Where, _ event: Event, isOver: Bool) -> [Action] {
        switch (place, event) {
        case (_, .connected) where !isOver: [.announce]
        case (.announcing, .announced): [.answered, .reportReady]
        case (.announcing, .refusedForNow): [.leave(.elsewhere, reason: "no")]
        case (.announcing, .late): [.leave(.elsewhere, reason: "the relay does not answer")]
        case (.away, _), (.announcing, _), (.present, _): []
        }
    }

    @Test(arguments: [true, false]) func everyStateAndEvent(_ isOnce: Bool) {
        for place in Where.allCases {
            // Without `once` nothing is stayed for.
            for goal in What.allCases where isOnce || goal != .staying {
                for event in Event.allCases {
                    var machine = Self.machine(place, goal, isOnce: isOnce)
                    let actions = Self.feed(event, to: &machine)
                    let isOver = goal == .over
                    let comment = Comment(rawValue: "\(place), \(goal), \(event)")
                    #expect(machine.presence == Self.presence(place, event, isOver: isOver), comment)
                    #expect(machine.goal == Self.goal(place, goal, event, isOnce: isOnce), comment)
                    #expect(actions == Self.actions(place, event, isOver: isOver), comment)
                }
            }
        }
    }

    @Test func whatIsWaitedForHasADeadline() {
        #expect(Self.machine(.away, .receiving, isOnce: true).deadline == nil)
        #expect(Self.machine(.announcing, .receiving, isOnce: true).deadline == Self.answerDue)
        #expect(Self.machine(.present, .receiving, isOnce: true).deadline == nil)
        #expect(Self.machine(.present, .staying, isOnce: true).deadline == Self.stay)
        #expect(Self.machine(.announcing, .staying, isOnce: true).deadline == Self.answerDue)
        #expect(Self.machine(.present, .over, isOnce: true).deadline == nil)
    }

    @Test func onlyWhatIsHereIsTakenWhileItStays() {
        for isHere in [true, false] {
            #expect(Self.machine(.present, .receiving, isOnce: true).takes(isHere: isHere))
            #expect(Self.machine(.present, .staying, isOnce: true).takes(isHere: isHere) == isHere)
            #expect(!Self.machine(.present, .over, isOnce: true).takes(isHere: isHere))
        }
    }

    @Test func thePersonHearsOnceThatFilesMayCome() {
        var machine = Self.machine(.present, .receiving, isOnce: false)
        machine.disconnected()
        #expect(machine.connected(now: Self.begin) == [.announce])
        #expect(machine.announced() == [.answered])
    }

    @Test func thePersonHearsOnceThatThereIsTooMuch() {
        var machine = ReceiverMachine(isOnce: false)
        #expect(machine.leftUnanswered() == [.reportTooManyOffers])
        #expect(machine.leftUnanswered() == [])
    }

    @Test func aRefusalWithoutACodeIsFinal() {
        var machine = Self.machine(.announcing, .receiving, isOnce: false)
        let error = ConnectionError(.session, "no", advice: "look", status: .refused)
        #expect(machine.refused(error) == [])
        #expect(machine.ending == .failed(.connection(error), isReported: false))
    }
}
