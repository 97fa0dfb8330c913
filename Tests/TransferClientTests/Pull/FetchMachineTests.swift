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

    @Test func whatBreaksIsAskedForAtOnceAndThenLessOften() {
        var machine = machine()
        machine.asked(now: start)
        machine.coming(now: at(1))
        machine.moved(now: at(2))
        machine.broke(now: at(3))
        #expect(machine.isDue(now: at(3)))
        var pauses: [Int64] = []
        var now = at(3)
        for _ in 0..<7 {
            machine.asked(now: now)
            machine.coming(now: now)
            machine.broke(now: now)
            guard case .asking(let due) = machine.state else { break }
            pauses.append((due - now).nanoseconds / 1_000_000)
            now = due
        }
        #expect(pauses == [400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
        machine.asked(now: now)
        machine.coming(now: now)
        machine.moved(now: now)
        machine.broke(now: now)
        #expect(machine.isDue(now: now))
        // The patience is counted from the last bytes.
        #expect(asks(&machine, until: now + .minutes(20)).isEmpty == false)
        #expect(machine.failure == .gaveUp)
    }

    @Test func aRefusalIsBelievedWhenNobodyElseAnswers() {
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
        machine.broke(now: at(7))
        #expect(machine.failure == .refused(.unknownPeer) && machine.deadline == nil)
    }
}
