// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WSProtocol

@testable import StreamRelay

@Suite struct HTTPErrorTests {
    @Test(arguments: FailureCode.allCases)
    func everyUnavailableAnswerHasRetryAfter(code: FailureCode) {
        let refusal = HTTPError.stream(code)
        #expect(refusal.fields.contains { $0.name == "Retry-After" } == (refusal.status == .unavailable))
        #expect(refusal.code == code.rawValue)
    }
}

/// Section 2.3 of the wire protocol and the code say the same.
@Suite struct StatusDocumentTests {
    @Test func everyStatusIsListedOnce() throws {
        let listed = try WireDocument().numbers("status")
        #expect(Set(listed) == Set(HTTPStatus.allCases.map(\.rawValue)))
        #expect(listed.count == HTTPStatus.allCases.count)
    }

    /// A code that the relay itself answers a stream with stands in the row of its status, with the others that share
    /// it.
    @Test(arguments: [
        FailureCode.expired, .stalled, .senderGone, .receiverGone, .draining, .unavailable, .clusterUnavailable,
        .internalError,
    ])
    func everyCodeOfAStreamStandsWithItsStatus(code: FailureCode) throws {
        let status = HTTPError.stream(code).status
        let row = try WireDocument().table("status").first { $0.first == String(status.rawValue) }
        #expect(row?.last?.contains("`\(code.rawValue)`") == true, "\(status.rawValue) \(code.rawValue)")
    }
}
