// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import TransferClient

/// What is said about a try that did not deliver, and what is done about it.
@Suite struct AttemptFailureTests {
    typealias Outcome = SendMachine.Outcome

    private let bob: PeerName
    private let gone = ConnectionError(
        .session, "the relay is gone", advice: "try again", status: .unreachable, isTemporary: true
    )

    init() throws { bob = try #require(PeerName(rawValue: "bob")) }

    private func transfer(
        reason: String? = nil, hasMissedReceiver: Bool = false, wasAccepted: Bool = false, isAllSent: Bool = false,
        isRepeatable: Bool = true
    ) -> AttemptFailure.Transfer {
        .init(
            peer: bob, relay: "https://relay", patience: .seconds(90), reason: reason,
            hasMissedReceiver: hasMissedReceiver, wasAccepted: wasAccepted, isAllSent: isAllSent,
            isRepeatable: isRepeatable
        )
    }

    private func result(_ change: (inout AttemptResult) -> Void = { _ in }) -> AttemptResult {
        var result = AttemptResult()
        change(&result)
        return result
    }

    @Test func aTimeoutSaysWhatWasWaitedFor() {
        func words(_ transfer: AttemptFailure.Transfer, _ change: (inout AttemptResult) -> Void) -> String {
            AttemptFailure(.timedOut, result(change), of: transfer).error.description
        }
        let advice = "; try again, or with a longer --timeout"
        #expect(
            words(transfer()) { _ in } == "gave up after 90 s: https://relay had not answered yet" + advice)
        #expect(words(transfer(reason: "no route")) { _ in } == "gave up after 90 s: no route" + advice)
        #expect(words(transfer()) { $0.isTaken = true } == "bob was not receiving in time" + advice)
        #expect(words(transfer(wasAccepted: true)) { $0.isTaken = true } == "bob did not come back in time" + advice)
        #expect(
            words(transfer()) {
                $0.isTaken = true
                $0.hasRung = true
            } == "bob did not accept in time" + advice)
        #expect(
            words(transfer()) {
                $0.isTaken = true
                $0.isAccepted = true
            } == "bob accepted, but no bytes could be sent in time" + advice)
    }

    /// The relay waits for one stream at a time, first for the receiver's: who was late is known.
    @Test func whoWasLateIsNotTheOneWhoWaited() {
        func words(_ change: (inout AttemptResult) -> Void) -> String {
            AttemptFailure(.failed(.expired, by: .relay), result(change), of: transfer()).error.description
        }
        #expect(words { $0.hasRung = true } == "bob did not answer in time; try again when bob is there")
        #expect(words { $0.isAccepted = true } == "bob accepted, and did not take it in time; send it again")
        #expect(
            words {
                $0.isAccepted = true
                $0.isAttached = true
            } == "our own connection did not reach the relay in time; check the network; then send it again")
    }

    /// A command that is run again makes no second file where the first one has arrived, but for what came from a pipe.
    @Test(arguments: [
        (true, "the same send asks again, and sends only what is missing there"),
        (false, "ask bob whether it is there before you send it again"),
    ])
    func whatMayHaveArrivedIsSaidToBeSent(isRepeatable: Bool, advice: String) {
        let sent = transfer(hasMissedReceiver: true, wasAccepted: true, isAllSent: true, isRepeatable: isRepeatable)
        let lateness: [AttemptResult] = [
            result(), result { $0.isTaken = true },
            result {
                $0.isTaken = true
                $0.hasRung = true
            },
            result {
                $0.isTaken = true
                $0.isAccepted = true
            },
        ]
        let errors =
            lateness.map { AttemptFailure(.timedOut, $0, of: sent).error } + [
                AttemptFailure(.refused(.peerOffline), result(), of: sent).error,
                AttemptFailure.gaveUp(on: sent, "no route"),
            ]
        let line = "everything was sent, and bob has not confirmed it; \(advice)"
        for error in errors { #expect(error.description == line && error.status == .gaveUp) }
        let other = AttemptFailure.unconfirmed(by: bob, "no route", .unreachable, isRepeatable: isRepeatable)
        #expect(other.description == "no route; \(line)" && other.status == .unreachable)
    }

    @Test func aReceiverThatWasWaitedForIsSaidToBeLate() {
        let missed = AttemptFailure(.refused(.peerOffline), result(), of: transfer(hasMissedReceiver: true))
        #expect(missed.error.description.hasPrefix("bob was not receiving in time"))
        #expect(missed.error.status == .gaveUp)
        let absent = AttemptFailure(.refused(.peerOffline), result(), of: transfer())
        #expect(absent.error.status == .unreachable && absent.decision == .final)
    }

    @Test func anAttemptsErrorKeepsItsCause() {
        let unreadable = FileError(code: .changed, message: "it changed")
        let failed = AttemptFailure(.unreadable, result { $0.cause = .file(unreadable) }, of: transfer())
        #expect(failed.error == .file(unreadable) && failed.decision == .final)
        let stream = AttemptFailure(
            .broken(.cut), result { $0.cause = .stream(.connection(gone)) }, of: transfer()
        )
        #expect(stream.error == .connection(gone) && stream.reason == "the relay is gone")
        let lost = AttemptFailure(.connectionLost, result { $0.lost = gone }, of: transfer())
        #expect(lost.error == .connection(gone) && lost.reason == "the relay is gone" && lost.next == nil)
        #expect(AttemptFailure(.cancelled, result(), of: transfer()).error == .interrupted)
    }

    @Test func whatIsDoneAboutItIsSaidWhereTheRelayDoesWhatItIsAsked() {
        let gone = AttemptFailure(.failed(.receiverGone, by: .relay), result(), of: transfer())
        #expect(gone.next == "sending again as soon as bob is back" && gone.reason == "the connection of bob was cut")
        let cut = AttemptFailure(.failed(.senderGone, by: .relay), result(), of: transfer())
        #expect(cut.next == "sending again" && cut.reason == "our own connection was cut")
        // A receiver's new key is looked for on the same connection.
        let old = AttemptFailure(.failed(.badPrekey, by: .peer), result(), of: transfer())
        #expect(old.next == "sending again" && old.reason == "bob does not have the key that it is sealed to")
        #expect(old.decision == .outdated)
        // Another connection is looked for, and that is told.
        for outcome in [Outcome.refused(.draining), .unanswered, .broken(.cut)] {
            #expect(AttemptFailure(outcome, result(), of: transfer()).next == nil)
        }
        #expect(AttemptFailure(.unanswered, result(), of: transfer()).reason == "the relay does not answer")
    }

    @Test func aDurationIsRoundedToWhatAPersonReckonsWith() {
        let words: [(TimeAmount, String)] = [
            (.zero, "0 s"), (.milliseconds(1), "1 ms"), (.milliseconds(499), "499 ms"), (.milliseconds(500), "1 s"),
            (.milliseconds(1_001), "2 s"), (.seconds(119), "119 s"), (.seconds(120), "2 min"), (.seconds(121), "3 min"),
            (.hours(1), "60 min"), (.seconds(-5), "0 s"),
        ]
        for (amount, text) in words { #expect(AttemptFailure.description(of: amount) == text) }
    }

    @Test func aLimitIsToldInTheRelaysWords() {
        let met = AttemptFailure(.refused(.tooManyTransfers), result { $0.said = "too many of alice" }, of: transfer())
        #expect(met.reason == "the relay says: too many of alice" && met.next == "sending again")
        #expect(met.error.description == "the relay says: too many of alice; try again later")
        let wordless = AttemptFailure(.refused(.tooManyTransfers), result(), of: transfer())
        #expect(wordless.reason == "the relay allows no more transfers at once")
        let told = TransferFailure(.tooManyTransfers, side: .receiver, peer: bob, said: "too many of bob")
        #expect(receiving(.refused(.tooManyTransfers), cause: .transfer(told)) == .transfer(told))
        #expect(receiving(.refused(.unknownTransfer), cause: .transfer(told)) == failure(.unknownTransfer))
    }

    // MARK: - The receiver

    private func receiving(_ outcome: ReceiveMachine.Outcome, cause: ClientError? = nil) -> ClientError {
        ClientError(receiving: outcome, cause: cause, from: bob)
    }

    private func failure(_ code: FailureCode) -> ClientError {
        .transfer(TransferFailure(code, side: .receiver, peer: bob))
    }

    @Test func aReceiverSaysWhatEndedIt() {
        let full = ClientError.file(FileError(code: .noSpace, message: "the disk is full"))
        #expect(receiving(.declined(.noSpace), cause: full) == full)
        #expect(receiving(.notStored(.noSpace), cause: full) == full)
        #expect(receiving(.declined(.tooLarge)) == failure(.tooLarge))
        #expect(
            receiving(.notStored(.verificationFailed), cause: .sealing(.doesNotOpen(.chunk)))
                == failure(.verificationFailed))
        let twice = SealingError.manifest(.order(entry: 2, Array("a\u{1B}".utf8)))
        #expect(
            receiving(.notStored(.protocolError), cause: .sealing(twice)).description
                == "bob's client broke the protocol: the list of files is refused: the name \"a\\u{1b}\" of entry 2 comes "
                + "twice, or too late; check that both are of the same version")
        #expect(receiving(.notStored(.protocolError)) == failure(.protocolError))
        #expect(receiving(.refused(.acceptedElsewhere)) == failure(.acceptedElsewhere))
        #expect(receiving(.failed(.cancelled, by: .peer), cause: full) == failure(.cancelled))
        let late = ClientError.transfer(.ownLateness(.receiver, peer: bob))
        #expect(receiving(.failed(.expired, by: .relay), cause: late) == late)
        #expect(receiving(.failed(.senderGone, by: .relay), cause: late) == failure(.senderGone))
        #expect(receiving(.failed(.expired, by: .relay)) == failure(.expired))
        #expect(receiving(.broken(.refused(status: 504, code: .expired))) == failure(.expired))
        #expect(receiving(.broken(.refused(status: 500, code: nil))) == failure(.receiverGone))
        #expect(receiving(.broken(.cut)) == failure(.receiverGone))
        #expect(receiving(.broken(.cut), cause: .stream(.connection(gone))) == .connection(gone))
        #expect(receiving(.unanswered) == failure(.unavailable))
        #expect(receiving(.connectionLost, cause: .connection(gone)) == .connection(gone))
        #expect(receiving(.connectionLost) == failure(.receiverGone))
        #expect(receiving(.cancelled) == .interrupted)
    }
}
