// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct FetchMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func at(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    private func machine(waits: Bool = true, patience: TimeAmount = .minutes(10)) -> FetchMachine {
        var machine = FetchMachine(patience: patience, waits: waits, now: start)
        machine.connected(now: start)
        return machine
    }

    /// Asks whenever that is due, and says when that was, in seconds.
    private func asks(_ machine: inout FetchMachine, until end: NIODeadline) -> [Int64] {
        var asks: [Int64] = []
        var now = start
        while now <= end {
            machine.deadlinePassed(now: now)
            if machine.isDue(now: now) {
                asks.append((now - start).nanoseconds / 1_000_000_000)
                machine.asked(now: now)
            }
            guard let next = machine.deadline else { break }
            now = next
        }
        return asks
    }

    @Test func asksAgainAtGrowingIntervalsUntilThePatienceIsOver() {
        var machine = machine()
        #expect(asks(&machine, until: at(1_000)) == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375, 435, 495, 555])
        #expect(machine.failure == .gaveUp)
    }

    @Test func doesNotWaitForLong() {
        var machine = machine(waits: false)
        #expect(asks(&machine, until: at(1_000)) == [0, 5])
        #expect(machine.failure == .unanswered)
    }

    @Test func needsAConnectionToAsk() {
        var machine = FetchMachine(patience: .minutes(1), waits: true, now: start)
        #expect(!machine.isDue(now: at(0)) && machine.deadline == at(60))
        machine.connected(now: at(20))
        #expect(machine.isDue(now: at(20)))
        machine.asked(now: at(20))
        machine.disconnected()
        #expect(!machine.isDue(now: at(30)) && machine.state == .away)
        machine.connected(now: at(31))
        #expect(machine.isDue(now: at(31)))
        machine.disconnected()
        machine.deadlinePassed(now: at(60))
        #expect(machine.failure == .gaveUp)
    }

    @Test func nothingIsAskedWhileItComes() {
        var machine = machine()
        machine.asked(now: start)
        machine.coming(now: at(1))
        #expect(machine.state == .coming && machine.deadline == nil && !machine.isDue(now: at(100)))
        machine.deadlinePassed(now: at(10_000))
        #expect(machine.failure == nil)
    }

    @Test func whatHasChangedIsOfferedAnewAndAskedForOnlyWhereItIsNot() {
        var machine = machine()
        machine.asked(now: start)
        machine.coming(now: at(1))
        machine.restarted(now: at(3))
        #expect(!machine.isDue(now: at(3)))
        machine.coming(now: at(4))
        #expect(machine.state == .coming)
        machine.restarted(now: at(6))
        #expect(!machine.isDue(now: at(10)) && machine.isDue(now: at(11)) && machine.failure == nil)
    }

    @Test func whatBreaksIsAskedForSoonAndThenLessOften() {
        var machine = machine()
        var generator = Constant()
        /// The milliseconds after which what comes and breaks is asked for again; nil where it is not.
        func pause(_ now: NIODeadline, movedAt: NIODeadline? = nil) -> Int64? {
            machine.asked(now: now)
            machine.coming(now: now)
            if let movedAt { machine.moved(now: movedAt) }
            machine.broke(now: now, using: &generator)
            guard case .asking(let due) = machine.state else { return nil }
            return (due - now).nanoseconds / 1_000_000
        }
        #expect((0..<7).map { pause(at($0)) } == [200, 400, 800, 1_600, 3_200, 5_000, 5_000])
        // What is cut as soon as it comes is no better for the few bytes.
        #expect(pause(at(8), movedAt: at(7)) == 5_000)
        #expect(pause(at(8) + TransferDefaults.steadyConnection, movedAt: at(8)) == 200)
        generator.value = 1 << 32
        #expect(pause(at(20)) == 0)
        // The patience is counted from the last that came.
        machine.deadlinePassed(now: at(619))
        #expect(machine.failure == nil)
        machine.deadlinePassed(now: at(620))
        #expect(machine.failure == .gaveUp)
    }

    @Test func aRefusalIsBelievedWhenNoOtherSharerAnswers() {
        for code in [FailureCode.notShared, .cannotRead, .protocolError, .identityChanged] {
            var machine = machine()
            machine.asked(now: start)
            let isOutdated = machine.refused(code, now: at(1))
            #expect(!isOutdated)
            machine.deadlinePassed(now: at(2))
            #expect(machine.failure == nil && machine.deadline == at(3))
            machine.deadlinePassed(now: at(3))
            #expect(machine.failure == .refused(code))
        }
    }

    @Test func anOfferIsBetterThanARefusal() {
        var machine = machine()
        machine.asked(now: start)
        _ = machine.refused(.notShared, now: at(1))
        machine.coming(now: at(2))
        machine.deadlinePassed(now: at(10))
        #expect(machine.state == .coming)
        _ = machine.refused(.notShared, now: at(11))
        #expect(machine.state == .coming)
    }

    @Test func theRefusalThatSaysMoreIsTold() {
        for codes in [[FailureCode.notShared, .cannotRead], [.cannotRead, .notShared]] {
            var machine = machine()
            machine.asked(now: start)
            for code in codes { _ = machine.refused(code, now: at(1)) }
            machine.deadlinePassed(now: at(3))
            #expect(machine.failure == .refused(.cannotRead))
        }
    }

    @Test func oneWhoHasTooMuchToDoIsAskedAgain() {
        var machine = machine(waits: false)
        machine.asked(now: start)
        _ = machine.refused(.tooManyRequests, now: at(1))
        machine.deadlinePassed(now: at(5))
        #expect(machine.failure == nil && machine.isDue(now: at(5)))
    }

    @Test func whoGivesUpHearsThatThereWereTooManyRequests() {
        for isAnswered in [true, false] {
            var machine = machine()
            machine.asked(now: start)
            if isAnswered { _ = machine.refused(.tooManyRequests, now: at(1)) }
            machine.deadlinePassed(now: start + TransferDefaults.patience)
            #expect(machine.failure == (isAnswered ? .refused(.tooManyRequests) : .gaveUp))
        }
    }

    @Test func whyTheRelayTookNoRequestIsSaid() {
        for isOver in [false, true] {
            var machine = machine()
            machine.asked(now: start)
            machine.postponed(.clusterUnavailable, now: at(1))
            // A later one was passed on, and had no answer.
            if isOver { machine.passedOn() }
            machine.deadlinePassed(now: start + TransferDefaults.patience)
            #expect(machine.failure == (isOver ? .gaveUp : .hindered(.clusterUnavailable)))

            var impatient = self.machine(waits: false)
            impatient.asked(now: start)
            impatient.postponed(.rateLimited, now: at(1))
            if isOver { impatient.passedOn() }
            impatient.deadlinePassed(now: start + TransferDefaults.unawaitedAnswer)
            #expect(impatient.failure == (isOver ? .unanswered : .refused(.rateLimited)))
        }
    }

    @Test func aKeyThatHasChangedIsLookedUpAFewTimes() {
        var machine = machine()
        machine.asked(now: start)
        for _ in 0..<TransferDefaults.freshTries {
            let isOutdated = machine.refused(.badPrekey, now: at(1))
            #expect(isOutdated && machine.isDue(now: at(1)))
            machine.asked(now: at(1))
        }
        let isOutdated = machine.refused(.badPrekey, now: at(1))
        #expect(!isOutdated)
        machine.deadlinePassed(now: at(3))
        #expect(machine.failure == .refused(.badPrekey))
    }

    @Test func whatTheRelaySaysIsPassingOrNot() {
        var machine = machine()
        machine.postponed(.rateLimited, now: at(1))
        #expect(machine.state == .asking(at(6)))
        machine.postponed(.unknownPeer, now: at(6))
        #expect(machine.failure == .refused(.unknownPeer))
        machine.connected(now: at(7))
        machine.disconnected()
        machine.coming(now: at(7))
        var generator = Constant()
        machine.broke(now: at(7), using: &generator)
        #expect(machine.failure == .refused(.unknownPeer) && machine.deadline == nil)
    }
}

// MARK: - Every state and event

extension FetchMachineTests {
    private enum Location: CaseIterable {
        case away
        case due
        case asked
        case refused
        case coming
        case failed
    }

    private enum Event: CaseIterable {
        case connected
        case disconnected
        case asked
        case postponed
        case postponedForGood
        case passedOn
        case coming
        case moved
        case broke
        case restarted
        case refused
        case crowded
        case outdated
        case early
        case late
    }

    private func machine(_ place: Location) -> FetchMachine {
        guard place != .away else { return FetchMachine(patience: TransferDefaults.patience, waits: true, now: start) }
        var machine = machine()
        if place != .due { machine.asked(now: start) }
        if place == .refused { _ = machine.refused(.notShared, now: start) }
        if place == .coming { machine.coming(now: start) }
        if place == .failed { machine.postponed(.unknownPeer, now: start) }
        return machine
    }

    /// Returns whether the sharer has to be looked up anew.
    private func feed(_ event: Event, to machine: inout FetchMachine) -> Bool {
        var generator = Constant()
        let now = at(1)
        switch event {
        case .connected: machine.connected(now: now)
        case .disconnected: machine.disconnected()
        case .asked: machine.asked(now: now)
        case .postponed: machine.postponed(.rateLimited, now: now)
        case .postponedForGood: machine.postponed(.unknownPeer, now: now)
        case .passedOn: machine.passedOn()
        case .coming: machine.coming(now: now)
        case .moved: machine.moved(now: now)
        case .broke: machine.broke(now: now, using: &generator)
        case .restarted: machine.restarted(now: now)
        case .refused: return machine.refused(.cannotRead, now: now)
        case .crowded: return machine.refused(.tooManyRequests, now: now)
        case .outdated: return machine.refused(.badPrekey, now: now)
        case .early: machine.deadlinePassed(now: now)
        case .late: machine.deadlinePassed(now: at(600))
        }
        return false
    }

    /// Where `event` leads from `place`; nil where it changes nothing.
    private func expected(_ place: Location, _ event: Event) -> FetchMachine.State? {
        switch (place, event) {
        case (.failed, _): nil
        case (.away, .connected): .asking(at(1))
        case (_, .disconnected): .away
        case (_, .coming): .coming
        case (.away, .late), (.due, .late), (.asked, .late): .failed(.gaveUp)
        case (.refused, .late): .failed(.refused(.notShared))
        // The second interval is twice as long.
        case (.due, .asked), (.due, .postponed): .asking(at(6))
        case (.asked, .asked), (.asked, .postponed), (.refused, .asked), (.refused, .postponed): .asking(at(11))
        case (.due, .postponedForGood), (.asked, .postponedForGood), (.refused, .postponedForGood):
            .failed(.refused(.unknownPeer))
        case (.due, .outdated), (.asked, .outdated), (.refused, .outdated): .asking(at(1))
        case (.coming, .broke): .asking(at(1) + .milliseconds(200))
        case (.coming, .restarted): .asking(at(6))
        case (.away, _), (.due, _), (.asked, _), (.refused, _), (.coming, _): nil
        }
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            for event in Event.allCases {
                var machine = machine(place)
                let before = machine.state
                let isOutdated = feed(event, to: &machine)
                let comment = Comment(rawValue: "\(place), \(event)")
                #expect(machine.state == expected(place, event) ?? before, comment)
                #expect(isOutdated == (event == .outdated && [.due, .asked, .refused].contains(place)), comment)
            }
        }
    }
}
