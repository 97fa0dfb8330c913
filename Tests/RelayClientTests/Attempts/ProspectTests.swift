// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClient

@Suite struct ProspectTests {
    private let relay: RelayURL
    private let name: PeerName

    init() throws {
        relay = try RelayURL("https://relay.example.com")
        name = try #require(PeerName(rawValue: "alice"))
    }

    private static let passing: Set<FailureCode> = [
        .draining, .unavailable, .clusterUnavailable, .internalError, .tooManySessions, .rateLimited, .tooManyTransfers,
    ]

    @Test func everyCodeHasItsPlaceInTheTable() {
        for code in FailureCode.allCases {
            #expect(Prospect(code).isPassing == Self.passing.contains(code), "\(code)")
        }
        // Where another node may do better, another connection finds it at once.
        for code in [FailureCode.draining, .unavailable, .clusterUnavailable] { #expect(Prospect(code) == .elsewhere) }
        #expect(Prospect(.rateLimited) == .passing(after: Defaults.pauseWhenLimited, elsewhere: false))
    }

    @Test func everyCloseCodeHasItsPlaceInTheTable() {
        let passing: [UInt16?] = [nil, 1000, 1001, 1008, 1011, 1012, 1013, 4401, 4408]
        for code in passing {
            let error = ConnectionError(closed: code, reason: code == nil ? .lost : .peer(""), relay: relay)
            #expect(Prospect(error, hasWorked: true).isPassing, "\(code ?? 1006)")
        }
        for code in [UInt16(1002), 1003, 1007, 1009] {
            let error = ConnectionError(closed: code, reason: .peer(""), relay: relay)
            #expect(Prospect(error, hasWorked: true) == .final, "\(code)")
        }
        #expect(
            Prospect(ConnectionError(closed: 1008, reason: .peer(""), relay: relay), hasWorked: true)
                == Prospect(.rateLimited)
        )
        #expect(
            Prospect(
                ConnectionError(closed: nil, reason: .violation(.unansweredPing), relay: relay), hasWorked: true
            ) == .elsewhere
        )
    }

    @Test func aLoginIsRefusedForGoodOrForNow() {
        for code in FailureCode.allCases {
            let error = ConnectionError(refused: code, name: name, relay: relay)
            let isPassing = Self.passing.contains(code) && code != .tooManyTransfers
            #expect(Prospect(error, hasWorked: true).isPassing == isPassing, "\(code)")
            // At first, a name with too many sessions is for the person to put right.
            #expect(Prospect(error, hasWorked: false).isPassing == (isPassing && code != .tooManySessions), "\(code)")
        }
    }

    @Test func onlyWhatHadWorkedIsLookedForAgain() {
        for step in ConnectionStep.allCases {
            let error = ConnectionError(step, "x", advice: "y", status: .unreachable, isTemporary: true)
            #expect(Prospect(error, hasWorked: true) == .elsewhere, "\(step)")
            let isCutInTheMiddle = [ConnectionStep.tls, .webSocket, .login, .session].contains(step)
            #expect(Prospect(error, hasWorked: false) == (isCutInTheMiddle ? .doubtful : .final), "\(step)")
            let final = ConnectionError(step, "x", advice: "y", status: .refused)
            // A proxy or a portal that refuses, between here and a relay that has worked, is of the network.
            let isOnTheWay = [ConnectionStep.proxy, .webSocket].contains(step)
            #expect(Prospect(final, hasWorked: true) == (isOnTheWay ? .elsewhere : .final), "\(step)")
            #expect(Prospect(final, hasWorked: false) == .final)
        }
        for status in [500, 502, 503, 504] {
            let busy = ConnectionError(upgradeRefused: HTTPAnswer(status: status), relay: relay)
            #expect(Prospect(busy, hasWorked: true).isPassing)
            #expect(Prospect(busy, hasWorked: false) == (status == 503 ? .elsewhere : .doubtful))
        }
        let elsewhere = ConnectionError(upgradeRefused: HTTPAnswer(status: 404), relay: relay)
        #expect(Prospect(elsewhere, hasWorked: true) == .elsewhere && Prospect(elsewhere, hasWorked: false) == .final)
    }

    /// What the relay says when the network, or the relay itself, has ended a transfer.
    private static let networks: Set<FailureCode> = [
        .receiverGone, .senderGone, .stalled, .expired, .unknownTransfer, .transferExists,
    ]

    @Test func whatOnlyTheNetworkHasEndedIsTriedAgain() {
        for code in FailureCode.allCases {
            let expected = Self.networks.contains(code) ? .passing(after: .zero, elsewhere: false) : Prospect(code)
            #expect(Prospect(ending: code) == expected, "\(code)")
        }
        #expect(Self.networks.isDisjoint(with: FailureCode.allCases.filter(\.isClients)))
    }

    @Test func aSenderGivesUpWhatTheOtherClientEndedOnly() {
        let lost = ConnectionError(closed: 1001, reason: .peer(""), relay: relay)
        let breach = ConnectionError(closed: nil, reason: .violation(.messageTooLong), relay: relay)
        func prospect(
            _ outcome: SendMachine.Outcome, stream: StreamError? = nil, lost: ConnectionError? = nil
        ) -> Prospect {
            Prospect(outcome, stream: stream, lost: lost)
        }
        #expect(prospect(.connectionLost, lost: lost) == .elsewhere)
        #expect(prospect(.connectionLost, lost: breach) == .final)
        #expect(prospect(.connectionLost) == .elsewhere)
        #expect(prospect(.broken(.cut), stream: .cut) == .elsewhere)
        #expect(prospect(.broken(.cut), stream: .connection(breach)) == .final)
        #expect(prospect(.broken(.refused(status: 503, code: .draining))) == .elsewhere)
        #expect(prospect(.broken(.refused(status: 403, code: nil))) == .passing(after: .zero, elsewhere: false))
        #expect(prospect(.broken(.refused(status: 404, code: nil))) == .final)
        // No answer is no verdict either (docs/wire-protocol.md, section 3.1).
        #expect(prospect(.broken(StreamError.silent.failure(as: .upload)), stream: .silent) == .elsewhere)
        // The relay stops, and cuts the receiver a moment before the sender's own connection.
        #expect(prospect(.broken(.refused(status: 502, code: .receiverGone)), lost: lost) == .elsewhere)
        #expect(prospect(.unanswered) == .elsewhere)
        for code in FailureCode.allCases {
            #expect(prospect(.failed(code, by: .peer)) == .final, "\(code)")
            #expect(prospect(.failed(code, by: .relay)) == Prospect(ending: code), "\(code)")
            #expect(prospect(.refused(code)) == Prospect(ending: code), "\(code)")
            #expect(prospect(.broken(.refused(status: 502, code: code))) == Prospect(ending: code), "\(code)")
        }
        #expect(prospect(.unreadable) == .final)
        #expect(prospect(.cancelled) == .final)
        #expect(prospect(.timedOut) == .final)
    }

    @Test func aReceiverKeepsWhatOnlyTheNetworkOrTheRelayBroke() {
        // The connection is as good as before.
        let again = Prospect.passing(after: .zero, elsewhere: false)
        let lost = ConnectionError(closed: 1001, reason: .peer(""), relay: relay)
        func prospect(
            _ outcome: ReceiveMachine.Outcome, stream: StreamError? = nil, lost: ConnectionError? = nil
        ) -> Prospect {
            Prospect(outcome, stream: stream, lost: lost)
        }
        #expect(prospect(.connectionLost, lost: lost) == .elsewhere)
        #expect(prospect(.broken(.cut), stream: .cut) == .elsewhere)
        #expect(prospect(.broken(StreamError.silent.failure(as: .download)), stream: .silent) == .elsewhere)
        #expect(prospect(.broken(.refused(status: 502, code: .senderGone))) == again)
        #expect(prospect(.broken(.refused(status: 403, code: nil))) == again)
        #expect(prospect(.broken(.refused(status: 502, code: .senderGone)), lost: lost) == .elsewhere)
        #expect(prospect(.failed(.draining, by: .relay)) == .elsewhere)
        #expect(prospect(.refused(.draining)) == .elsewhere)
        #expect(prospect(.unanswered) == .elsewhere)
        for code in FailureCode.allCases {
            let isBroken = [
                .senderGone, .receiverGone, .stalled, .expired, .unknownTransfer, .transferExists,
            ].contains(code)
            for outcome in [ReceiveMachine.Outcome.failed(code, by: .relay), .refused(code)] {
                #expect(prospect(outcome) == (isBroken ? again : Prospect(code)), "\(code)")
                #expect(prospect(outcome).isPassing == (isBroken || Self.passing.contains(code)), "\(code)")
            }
            #expect(prospect(.failed(code, by: .peer)) == .final, "\(code)")
            #expect(prospect(.notStored(code)) == .final, "\(code)")
            #expect(prospect(.declined(code)) == .final, "\(code)")
        }
        #expect(prospect(.cancelled) == .final)
    }
}
