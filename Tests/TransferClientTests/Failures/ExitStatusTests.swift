// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import TransferClient

@Suite struct ExitStatusTests {
    @Test func everyCodeHasItsStatus() {
        let table: [FailureCode: Int32] = [
            .badMessage: 76, .unknownType: 76, .notNow: 76, .rateLimited: 75, .loginRefused: 77, .nameTaken: 77,
            .badInvitation: 77, .registrationClosed: 77, .tooManySessions: 77, .unknownPeer: 69, .peerOffline: 69,
            .unknownTransfer: 69, .transferExists: 76, .malformedBody: 76, .tooManyTransfers: 75, .draining: 75,
            .unavailable: 69,
            .clusterUnavailable: 69, .internalError: 69, .acceptedElsewhere: 69, .expired: 75, .senderGone: 69,
            .receiverGone: 69, .stalled: 69, .declined: 77, .cancelled: 77, .noSpace: 74, .cannotWrite: 73,
            .cannotRead: 66, .sourceChanged: 74, .timedOut: 75, .verificationFailed: 65, .tooLarge: 77,
            .protocolError: 76, .identityChanged: 77, .badPrekey: 77, .staleOffer: 77, .requestExists: 76,
            .unknownRequest: 69, .notShared: 66, .tooManyRequests: 75,
            .accountDisabled: 77, .dayLimit: 77, .endedByOperator: 77,
        ]
        #expect(Set(table.keys) == Set(FailureCode.allCases))
        for code in FailureCode.allCases {
            #expect(ExitStatus(code).rawValue == table[code], "\(code)")
        }
    }

    @Test func noFailureLooksLikeSuccess() {
        for code in FailureCode.allCases { #expect(ExitStatus(code) != .done) }
    }

    @Test(arguments: FailureCode.allCases, TransferFailure.Side.allCases)
    func everyFailureIsOneLineWithAdvice(_ code: FailureCode, _ side: TransferFailure.Side) throws {
        let peer = try #require(PeerName(rawValue: "bob"))
        let failure = TransferFailure(code, side: side, peer: peer)
        #expect(!failure.description.unicodeScalars.contains { $0.value < 0x20 })
        #expect(failure.description.contains("; "))
    }
}
