// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct RetryDecisionTests {
    private static let gone = ConnectionError(
        .session, "gone", advice: "try again", status: .unreachable, isTemporary: true
    )
    private static let breach = ConnectionError(.session, "breach", advice: "look", status: .protocolBreach)

    private static let passing: Set<FailureCode> = [
        .draining, .unavailable, .clusterUnavailable, .internalError, .tooManySessions, .rateLimited, .tooManyTransfers,
        .tooManyRequests,
    ]

    @Test func everyCodeHasItsPlaceInTheTable() {
        for code in FailureCode.allCases {
            #expect(RetryDecision(code).isPassing == Self.passing.contains(code), "\(code)")
        }
        // Where another node may do better, another connection finds it at once.
        for code in [FailureCode.draining, .unavailable, .clusterUnavailable] {
            #expect(RetryDecision(code) == .elsewhere)
        }
        #expect(RetryDecision(.rateLimited) == .passing(after: TransferDefaults.pauseWhenLimited, elsewhere: false))
    }

    @Test func onlyWhatHadWorkedIsLookedForAgain() {
        for step in ConnectionStep.allCases {
            let error = ConnectionError(step, "x", advice: "y", status: .unreachable, isTemporary: true)
            #expect(RetryDecision(error, hasWorked: true) == .elsewhere, "\(step)")
            let isCutInTheMiddle = [ConnectionStep.tls, .webSocket, .login, .session].contains(step)
            #expect(RetryDecision(error, hasWorked: false) == (isCutInTheMiddle ? .doubtful : .final), "\(step)")
            let final = ConnectionError(step, "x", advice: "y", status: .refused)
            // A proxy or a portal that refuses, between here and a relay that has worked, is of the network; at first
            // contact a certificate that is not valid is the end.
            let isOnTheWay = [ConnectionStep.proxy, .tls, .certificate, .webSocket].contains(step)
            #expect(RetryDecision(final, hasWorked: true) == (isOnTheWay ? .elsewhere : .final), "\(step)")
            #expect(RetryDecision(final, hasWorked: false) == .final)
        }
    }

    /// What the relay says when the network, or the relay itself, has ended a transfer.
    private static let networks: Set<FailureCode> = [
        .receiverGone, .senderGone, .stalled, .expired, .unknownTransfer, .transferExists,
    ]

    @Test func whatOnlyTheNetworkHasEndedIsTriedAgain() {
        for code in FailureCode.allCases {
            let expected = Self.networks.contains(code) ? .passing(after: .zero, elsewhere: false) : RetryDecision(code)
            #expect(RetryDecision(ending: code) == expected, "\(code)")
        }
        #expect(Self.networks.isDisjoint(with: FailureCode.allCases.filter(\.isClients)))
    }

    @Test func aSenderGivesUpWhatTheOtherClientEndedOnly() {
        let lost = Self.gone
        let breach = Self.breach
        func decision(
            _ outcome: SendMachine.Outcome, stream: StreamError? = nil, lost: ConnectionError? = nil
        ) -> RetryDecision {
            RetryDecision(outcome, stream: stream, lost: lost)
        }
        #expect(decision(.connectionLost, lost: lost) == .elsewhere)
        #expect(decision(.connectionLost, lost: breach) == .final)
        #expect(decision(.connectionLost) == .elsewhere)
        #expect(decision(.broken(.cut), stream: .cut) == .elsewhere)
        #expect(decision(.broken(.cut), stream: .connection(breach)) == .final)
        #expect(decision(.broken(.refused(status: 503, code: .draining))) == .elsewhere)
        #expect(decision(.broken(.refused(status: 403, code: nil))) == .passing(after: .zero, elsewhere: false))
        // Only a middlebox answers without a code: that is a cut in other words.
        #expect(decision(.broken(.refused(status: 404, code: nil))) == .elsewhere)
        #expect(decision(.broken(.refused(status: 404, code: .protocolError))) == .final)
        // No answer is no verdict either (docs/wire-protocol.md, section 3.1).
        #expect(decision(.broken(StreamError.silent.failure(as: .upload)), stream: .silent) == .elsewhere)
        // The relay stops, and cuts the receiver a moment before the sender's own connection.
        #expect(decision(.broken(.refused(status: 502, code: .receiverGone)), lost: lost) == .elsewhere)
        #expect(decision(.unanswered) == .elsewhere)
        for code in FailureCode.allCases {
            // Only what is looked up again may be another one the next time.
            #expect(
                decision(.failed(code, by: .peer)) == ([.badPrekey, .staleOffer].contains(code) ? .outdated : .final),
                "\(code)")
            #expect(decision(.failed(code, by: .relay)) == RetryDecision(ending: code), "\(code)")
            #expect(decision(.refused(code)) == RetryDecision(ending: code), "\(code)")
            #expect(decision(.broken(.refused(status: 502, code: code))) == RetryDecision(ending: code), "\(code)")
        }
        #expect(decision(.unreadable) == .final)
        #expect(decision(.cancelled) == .final)
        #expect(decision(.timedOut) == .final)
    }

    @Test func aReceiverKeepsWhatOnlyTheNetworkOrTheRelayBroke() {
        // The connection is as good as before.
        let again = RetryDecision.passing(after: .zero, elsewhere: false)
        let lost = Self.gone
        func decision(
            _ outcome: ReceiveMachine.Outcome, stream: StreamError? = nil, lost: ConnectionError? = nil
        ) -> RetryDecision {
            RetryDecision(outcome, stream: stream, lost: lost)
        }
        #expect(decision(.connectionLost, lost: lost) == .elsewhere)
        #expect(decision(.broken(.cut), stream: .cut) == .elsewhere)
        #expect(decision(.broken(StreamError.silent.failure(as: .download)), stream: .silent) == .elsewhere)
        #expect(decision(.broken(.refused(status: 502, code: .senderGone))) == again)
        #expect(decision(.broken(.refused(status: 403, code: nil))) == again)
        #expect(decision(.broken(.refused(status: 502, code: .senderGone)), lost: lost) == .elsewhere)
        #expect(decision(.failed(.draining, by: .relay)) == .elsewhere)
        #expect(decision(.refused(.draining)) == .elsewhere)
        #expect(decision(.unanswered) == .elsewhere)
        for code in FailureCode.allCases {
            let isBroken = [
                .senderGone, .receiverGone, .stalled, .expired, .unknownTransfer, .transferExists,
            ].contains(code)
            for outcome in [ReceiveMachine.Outcome.failed(code, by: .relay), .refused(code)] {
                #expect(decision(outcome) == (isBroken ? again : RetryDecision(code)), "\(code)")
                #expect(decision(outcome).isPassing == (isBroken || Self.passing.contains(code)), "\(code)")
            }
            #expect(decision(.failed(code, by: .peer)) == .final, "\(code)")
            #expect(decision(.notStored(code)) == .final, "\(code)")
            #expect(decision(.declined(code)) == .final, "\(code)")
        }
        #expect(decision(.cancelled) == .final)
    }
}
