// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import StreamRelay

@Suite struct HTTPErrorTests {
    @Test(arguments: FailureCode.allCases)
    func everythingUnavailableSaysWhenToComeAgain(code: FailureCode) {
        let refusal = HTTPError.stream(code)
        #expect(refusal.fields.contains { $0.name == "Retry-After" } == (refusal.status == .unavailable))
        #expect(refusal.code == code.rawValue)
    }
}
