// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

/// The one decider of trying again, for a stream whose token expires.
@Suite struct RetryOpeningTests {
    private static let passing = ConnectionError(
        .tcp, "refused", advice: "look", status: .unreachable, isTemporary: true
    )
    private static let lasting = ConnectionError(.settings, "not readable", advice: "look", status: .refused)
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func whatIsWrongWithOneAddressNeedNotBeWrongWithTheNext() {
        for error in [Self.passing, Self.lasting] {
            #expect(RetryDecision(opening: .connection(error), isLast: false) == .nextAddress)
        }
        #expect(RetryDecision(opening: .connection(Self.passing), isLast: true) == .elsewhere)
        #expect(RetryDecision(opening: .connection(Self.lasting), isLast: true) == .final)
    }

    @Test func onlyARelayThatIsBusyIsAskedAgain() {
        for code in FailureCode.allCases {
            let decision = RetryDecision(opening: .refused(HTTPResponse(status: 503, code: code)), isLast: true)
            #expect(decision.isPassing == RetryDecision(code).isPassing, "\(code)")
            #expect(RetryDecision(opening: .refused(HTTPResponse(status: 502, code: code)), isLast: true) == .final)
        }
        // A balancer before it says no code.
        for (status, isBusy) in [(502, true), (503, true), (500, false), (504, false), (403, false)] {
            let decision = RetryDecision(opening: .refused(HTTPResponse(status: status)), isLast: true)
            #expect(decision.isPassing == isBusy, "\(status)")
        }
        for error in [StreamError.cut, .silent, .badAddress] {
            #expect(RetryDecision(opening: error, isLast: false) == .final)
        }
    }

    @Test func theRelaysOwnPauseIsKeptWithinBounds() {
        for (asked, kept) in [
            (TimeAmount.seconds(2), TimeAmount.seconds(2)), (.hours(1), TransferDefaults.longestPause),
        ] {
            let answer = HTTPResponse(status: 503, retryAfter: asked)
            #expect(RetryDecision(opening: .refused(answer), isLast: true) == .passing(after: kept, elsewhere: true))
        }
    }

    @Test func nothingIsTriedAtTheExpiry() {
        var generator = Constant()
        let expiry = begin + .seconds(10)
        var early = RetryMachine(expiry: expiry)
        #expect(early.deadline == expiry)
        #expect(
            early.failed(.elsewhere, now: begin, using: &generator) == .tryAgain(after: .milliseconds(200), attempt: 1))
        var late = RetryMachine(expiry: expiry)
        // The pause would end when what is tried with is not good any more.
        #expect(late.failed(.elsewhere, now: expiry - .milliseconds(200), using: &generator) == .giveUp)
        #expect(late.failed(.elsewhere, now: begin, using: &generator) == .fail)
        var over = RetryMachine(expiry: begin)
        #expect(over.failed(.elsewhere, now: begin + .seconds(1), using: &generator) == .giveUp)
    }

    @Test func theNextAddressIsTriedAtOnceAndCounts() {
        var generator = Constant()
        var machine = RetryMachine(expiry: begin + .seconds(10))
        #expect(machine.failed(.nextAddress, now: begin, using: &generator) == .tryAgain(after: .zero, attempt: 1))
        #expect(
            machine.failed(.elsewhere, now: begin, using: &generator)
                == .tryAgain(after: .milliseconds(200), attempt: 2))
        var patient = RetryMachine(patience: .seconds(60), now: begin)
        #expect(patient.failed(.nextAddress, now: begin, using: &generator) == .tryAgain(after: .zero, attempt: 1))
        #expect(patient.deadline == begin + .seconds(60))
    }
}
