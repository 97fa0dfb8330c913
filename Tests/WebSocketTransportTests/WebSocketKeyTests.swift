// SPDX-License-Identifier: Apache-2.0

import Testing
import WebSocketTransport

@Suite struct WebSocketKeyTests {
    /// The pair of RFC 6455, section 1.3.
    @Test func theAnswerIsThatOfTheStandard() {
        #expect(WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==")?.accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test(arguments: ["", "dGhl", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "!"])
    func onlySixteenBytesInBase64AreAKey(text: String) {
        #expect(WebSocketKey(text) == nil)
    }

    @Test func aRandomKeyIsAKeyAndNeverTheSame() {
        let keys = (0..<100).map { _ in WebSocketKey() }
        #expect(keys.allSatisfy { WebSocketKey($0.text) == $0 })
        #expect(Set(keys).count == 100)
    }
}
