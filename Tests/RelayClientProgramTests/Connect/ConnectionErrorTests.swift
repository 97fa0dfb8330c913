// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What is done about each way in which a connection ends, or does not come about.
@Suite struct ConnectionErrorTests {
    private let relay: RelayURL
    private let name: PeerName

    init() throws {
        relay = try RelayURL("https://relay.example.com")
        name = try #require(PeerName(rawValue: "alice"))
    }

    private static let passing: Set<FailureCode> = [
        .draining, .unavailable, .clusterUnavailable, .internalError, .tooManySessions, .rateLimited, .tooManyTransfers,
    ]

    @Test func everyCloseCodeHasItsPlaceInTheTable() {
        let passing: [UInt16?] = [nil, 1000, 1001, 1008, 1011, 1012, 1013, 4401, 4408]
        for code in passing {
            let error = ConnectionError(closed: code, reason: code == nil ? .lost : .peer(""), relay: relay)
            #expect(RetryDecision(error, hasWorked: true).isPassing, "\(code ?? 1006)")
        }
        for code in [UInt16(1002), 1003, 1007, 1009] {
            let error = ConnectionError(closed: code, reason: .peer(""), relay: relay)
            #expect(RetryDecision(error, hasWorked: true) == .final, "\(code)")
        }
        #expect(
            RetryDecision(ConnectionError(closed: 1008, reason: .peer(""), relay: relay), hasWorked: true)
                == RetryDecision(.rateLimited)
        )
        #expect(
            RetryDecision(
                ConnectionError(closed: nil, reason: .violation(.unansweredPing), relay: relay), hasWorked: true
            ) == .elsewhere
        )
    }

    @Test func aLoginIsRefusedForGoodOrForNow() {
        for code in FailureCode.allCases {
            let error = ConnectionError(refused: code, name: name, relay: relay)
            let isPassing = Self.passing.contains(code) && code != .tooManyTransfers
            #expect(RetryDecision(error, hasWorked: true).isPassing == isPassing, "\(code)")
            // At first, a name with too many sessions is for the person to put right.
            #expect(
                RetryDecision(error, hasWorked: false).isPassing == (isPassing && code != .tooManySessions), "\(code)")
        }
    }

    @Test func whoseSessionsAreTooManyIsTheRelaysToSay() {
        let plain = ConnectionError(refused: .tooManySessions, name: name, relay: relay)
        #expect(plain.description.hasSuffix("too often already; close another session of this name first"))
        let told = ConnectionError(refused: .tooManySessions, saying: "too many (2): end one", name: name, relay: relay)
        #expect(told.description.hasSuffix("too often already; the relay says: too many (2): end one"))
        #expect(told.summary == plain.summary && told.status == plain.status)
    }

    @Test func anUpgradeThatIsRefusedSaysWhetherToComeAgain() {
        for status in [500, 502, 503, 504] {
            let busy = ConnectionError(upgradeRefused: HTTPResponse(status: status), relay: relay)
            #expect(RetryDecision(busy, hasWorked: true).isPassing)
            #expect(RetryDecision(busy, hasWorked: false) == (status == 503 ? .elsewhere : .doubtful))
        }
        let elsewhere = ConnectionError(upgradeRefused: HTTPResponse(status: 404), relay: relay)
        #expect(
            RetryDecision(elsewhere, hasWorked: true) == .elsewhere
                && RetryDecision(elsewhere, hasWorked: false) == .final)
    }

}
