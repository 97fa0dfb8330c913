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

    /// A relay refuses a request without any of them.
    @Test func aRequestHasTheFieldsThatTheStandardAsksFor() {
        let fields = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==")?.requestFields(subprotocol: "a.v1")
        #expect(
            fields?.map { "\($0.name): \($0.value)" } == [
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Protocol: a.v1",
            ]
        )
    }

    @Test func aRandomKeyIsAKeyAndNeverTheSame() {
        let keys = (0..<100).map { _ in WebSocketKey() }
        #expect(keys.allSatisfy { WebSocketKey($0.text) == $0 })
        #expect(Set(keys).count == 100)
    }

    /// Every field of an answer counts, and the subprotocol is told apart from the rest.
    @Test(
        arguments: [
            ("upgrade", ["WebSocket"], nil), ("upgrade", [], .notWebSocket),
            ("upgrade", ["websocket", "websocket"], .notWebSocket), ("upgrade", ["h2c"], .notWebSocket),
            ("connection", ["keep-alive,\tupgrade "], nil), ("connection", ["close", "Upgrade"], nil),
            ("connection", [], .notWebSocket), ("connection", ["close"], .notWebSocket),
            ("connection", ["upgrade2, x-upgrade"], .notWebSocket), ("connection", ["up grade"], .notWebSocket),
            ("sec-websocket-accept", [], .notWebSocket), ("sec-websocket-accept", ["x"], .notWebSocket),
            ("sec-websocket-extensions", ["permessage-deflate"], .notWebSocket),
            ("sec-websocket-protocol", [], .otherSubprotocol),
            ("sec-websocket-protocol", ["b.v1"], .otherSubprotocol),
            ("sec-websocket-protocol", ["a.v1", "a.v1"], .otherSubprotocol),
        ] as [(String, [String], WebSocketKey.AnswerFault?)]
    )
    func anAnswerIsCheckedFieldByField(name: String, values: [String], fault: WebSocketKey.AnswerFault?) {
        let key = WebSocketKey()
        var fields = [
            "connection": ["Upgrade"], "upgrade": ["websocket"], "sec-websocket-accept": [key.accept],
            "sec-websocket-protocol": ["a.v1"],
        ]
        #expect(key.fault(subprotocol: "a.v1") { fields[$0] ?? [] } == nil)
        fields[name] = values
        #expect(key.fault(subprotocol: "a.v1") { fields[$0] ?? [] } == fault)
    }
}
