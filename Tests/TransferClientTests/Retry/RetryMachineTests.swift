// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import TransferClient

@Suite struct RetryMachineTests {
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func at(_ seconds: Int64) -> NIODeadline { begin + .seconds(seconds) }

    private func machine(patience: TimeAmount? = .seconds(60)) -> RetryMachine {
        RetryMachine(patience: patience, now: begin)
    }

    /// The machine in each state, with the time it was made for.
    private func states() -> [(RetryMachine, String)] {
        var streaming = machine()
        streaming.started(now: at(10))
        var over = machine()
        var generator = Constant()
        _ = over.failed(.final, now: at(10), using: &generator)
        return [
            (machine(), "waiting"), (machine(patience: nil), "for ever"), (streaming, "streaming"), (over, "over"),
        ]
    }

    @Test func everyStateTakesEveryEvent() {
        var generator = Constant()
        for (before, name) in states() {
            var connected = before
            connected.connected(now: at(20))
            #expect(connected.state == before.state, "\(name)")

            var started = before
            started.started(now: at(20))
            #expect(started.state == (name == "over" ? .over : .streaming), "\(name)")
            #expect(started.deadline == nil)

            for decision in [
                RetryDecision.elsewhere, .passing(after: .seconds(5), elsewhere: false), .doubtful, .final,
            ] {
                var failed = before
                let verdict = failed.failed(decision, now: at(20), using: &generator)
                switch (name, decision) {
                case ("over", _), (_, .final):
                    #expect(verdict == .fail, "\(name)")
                    #expect(failed.state == .over)
                    #expect(failed.deadline == nil)
                default:
                    let pause = decision == .passing(after: .seconds(5), elsewhere: false) ? 5_000 : 200
                    #expect(verdict == .tryAgain(after: .milliseconds(Int64(pause)), attempt: 1), "\(name) \(decision)")
                    let until: NIODeadline? = ["waiting": at(60), "streaming": at(80)][name]
                    #expect(failed.state == .waiting(until: until), "\(name)")
                    #expect(failed.deadline == until)
                }
            }
        }
    }

    @Test func theClockRunsOnlyWhileNothingFlows() {
        var generator = Constant()
        var machine = machine()
        #expect(
            machine.failed(.elsewhere, now: at(59), using: &generator)
                == .tryAgain(after: .milliseconds(200), attempt: 1))
        machine.started(now: at(59))
        // Hours of a stream count for nothing, and the trouble that ends it has the whole time again.
        #expect(machine.failed(.elsewhere, now: at(9_000), using: &generator) != .giveUp)
        #expect(machine.deadline == at(9_060))
        #expect(machine.failed(.elsewhere, now: at(9_059), using: &generator) != .giveUp)
        #expect(machine.failed(.elsewhere, now: at(9_060), using: &generator) == .giveUp)
        #expect(machine.failed(.elsewhere, now: at(9_060), using: &generator) == .fail)
    }

    @Test func aReceiverThatIsBusyWithOthersIsThere() {
        var machine = machine()
        machine.othersMoved(now: at(50))
        #expect(machine.deadline == at(110))
        #expect(!machine.isOverdue(now: at(109)) && machine.isOverdue(now: at(110)))
        machine.started(now: at(60))
        machine.othersMoved(now: at(70))
        #expect(machine.state == .streaming && !machine.isOverdue(now: at(9_000)))
        var endless = self.machine(patience: nil)
        endless.othersMoved(now: at(50))
        #expect(endless.deadline == nil)
    }

    @Test func theLastTryIsAtTheVeryEnd() {
        var generator = Constant()
        var machine = machine()
        let verdict = machine.failed(
            .passing(after: .seconds(5), elsewhere: true), now: at(58), using: &generator
        )
        #expect(verdict == .tryAgain(after: .seconds(2), attempt: 1))
    }

    @Test func pausesGrowUntilAConnectionLasts() {
        var generator = Constant()
        var machine = machine(patience: nil)
        for attempt in 1...10 {
            let pause = TimeAmount.milliseconds(min(200 << Int64(attempt - 1), 5_000))
            #expect(
                machine.failed(.elsewhere, now: begin, using: &generator) == .tryAgain(after: pause, attempt: attempt))
        }
        machine.connected(now: at(1))
        // It counts from 1 again, but was gone too soon to be a good one.
        #expect(machine.failed(.elsewhere, now: at(2), using: &generator) == .tryAgain(after: .seconds(5), attempt: 1))
        machine.connected(now: at(3))
        #expect(
            machine.failed(.elsewhere, now: at(13), using: &generator)
                == .tryAgain(after: TransferDefaults.firstPause, attempt: 1)
        )
    }

    @Test func aDoubtfulFailureIsTriedAFewTimesQuickly() {
        var generator = Constant()
        var machine = machine()
        for attempt in 1...TransferDefaults.quickTries {
            let verdict = machine.failed(.doubtful, now: begin, using: &generator)
            guard case .tryAgain(_, attempt) = verdict else {
                Issue.record("try \(attempt): \(verdict)")
                return
            }
        }
        #expect(machine.failed(.doubtful, now: begin, using: &generator) == .fail)
    }

    @Test func anOutdatedOfferIsMadeAnewAFewTimesInAll() {
        var generator = Constant()
        var machine = machine()
        for attempt in 1...TransferDefaults.freshTries {
            // The relay takes each offer, and even bytes may flow for another reason in between.
            machine.connected(now: at(Int64(attempt)))
            let verdict = machine.failed(.outdated, now: at(Int64(attempt)), using: &generator)
            guard case .tryAgain(_, attempt: 1) = verdict else {
                Issue.record("try \(attempt): \(verdict)")
                return
            }
        }
        machine.started(now: at(30))
        #expect(machine.failed(.elsewhere, now: at(31), using: &generator) != .fail)
        #expect(machine.failed(.outdated, now: at(32), using: &generator) == .fail)
    }

    @Test func aTransferThatIsCutAgainAndAgainGoesOn() {
        var generator = Constant()
        var machine = machine(patience: .minutes(10))
        for start in 1...1_000 {
            machine.started(now: at(Int64(start)))
            let verdict = machine.failed(.elsewhere, now: at(Int64(start)), using: &generator)
            guard case .tryAgain = verdict else {
                Issue.record("start \(start): \(verdict)")
                return
            }
        }
    }

    @Test func aVeryLongPatienceDoesNotOverflow() {
        var generator = Constant()
        var machine = RetryMachine(patience: .hours(365 * 24), now: begin)
        #expect(machine.failed(.elsewhere, now: at(1_000_000), using: &generator) != .giveUp)
    }
}
