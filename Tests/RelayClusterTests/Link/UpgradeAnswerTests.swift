// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import TransferBroker
import WebSocketTransport

@testable import RelayCluster

@Suite struct UpgradeAnswerTests {
    private static let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==") ?? WebSocketKey()
    // The pair of RFC 6455, section 1.3.
    private static let good = [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: relay-node.v1", "", "",
    ].joined(separator: "\r\n")

    private func outcome(_ text: String) -> UpgradeAnswer.Outcome {
        var answer = UpgradeAnswer(to: Self.key, subprotocol: LinkRoute.subprotocol)
        var buffer = ByteBuffer(string: text)
        return answer.feed(&buffer)
    }

    @Test func takesTheRightAnswerHoweverItIsCut() {
        #expect(outcome(Self.good) == .upgraded)
        var answer = UpgradeAnswer(to: Self.key, subprotocol: LinkRoute.subprotocol)
        for byte in Self.good.utf8.dropLast() {
            var buffer = ByteBuffer(integer: byte)
            #expect(answer.feed(&buffer) == .needMore)
        }
        var last = ByteBuffer(string: "\nrest")
        #expect(answer.feed(&last) == .upgraded)
        #expect(String(buffer: last) == "rest")
    }

    @Test(arguments: [
        ("101 Switching", "200 Fine"), ("101 ", "1010 "), ("HTTP/1.1", "HTTP/1.0"), ("s3pPLM", "S3pPLM"),
        ("relay-node.v1", "relay-node.v2"), ("Sec-WebSocket-Protocol: relay-node.v1\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("\r\n", "\n"), ("Connection: ", "Sec-WebSocket-Extensions: x\r\nConnection: "), ("Upgrade: ", "Upgrade "),
    ])
    func refusesEveryOther(part: String, replacement: String) {
        let text = Self.good.replacing(part, with: replacement)
        guard case .refused = outcome(text) else {
            Issue.record("taken: \(text)")
            return
        }
    }

    @Test func hostileAnswersReadTheSameHoweverTheyAreCut() {
        for input in HostileInputs(damaging: [Self.good], seed: 26) {
            var whole = UpgradeAnswer(to: Self.key, subprotocol: LinkRoute.subprotocol)
            var buffer = ByteBuffer(bytes: input.bytes)
            let outcome = whole.feed(&buffer)
            var pieces = UpgradeAnswer(to: Self.key, subprotocol: LinkRoute.subprotocol)
            var first = UpgradeAnswer.Outcome.needMore
            for byte in input.single where first == .needMore {
                var buffer = ByteBuffer(bytes: byte)
                first = pieces.feed(&buffer)
            }
            #expect(first == outcome, "\(input)")
            if outcome == .upgraded { #expect(input.text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "\(input)") }
        }
    }

    @Test func aHeadWithoutAnEndIsRefused() {
        let text = "HTTP/1.1 101 x\r\nA: " + String(repeating: "a", count: Defaults.Link.upgradeHead)
        #expect(outcome(text) == .refused("the answer's head is too long"))
    }
}
