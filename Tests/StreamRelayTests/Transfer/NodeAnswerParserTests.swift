// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import StreamRelay

@Suite struct NodeAnswerParserTests {
    private static let refusal = ResponseHead.refusal(.stream(.receiverGone))

    @Test func readsWhatANodeAnswers() {
        var parser = NodeAnswerParser()
        #expect(parser.feed(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) == .proceed)
        #expect(parser.feed(ResponseHead.complete(.ok, type: "application/json", body: "{\"bytes\":1}\n")) == .complete)
        parser = NodeAnswerParser()
        #expect(parser.feed(Self.refusal) == .refused(.receiverGone))
    }

    @Test func theBytesMayComeOneByOne() {
        var parser = NodeAnswerParser()
        var answers: [NodeAnswerParser.Answer] = []
        for byte in Self.refusal.readableBytesView {
            if let answer = parser.feed(ByteBuffer(bytes: [byte])) { answers.append(answer) }
        }
        #expect(answers == [.refused(.receiverGone)])
    }

    @Test(
        arguments: [
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 Upgrade\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n", "garbage\r\n\r\n", "\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", String(repeating: "x", count: 5000),
        ]
    )
    func anAnswerThatNoNodeGivesIsMalformed(_ text: String) {
        var parser = NodeAnswerParser()
        #expect(parser.feed(ByteBuffer(string: text)) == .malformed)
    }

    @Test func hostileAnswersReadTheSameHoweverTheyAreCut() {
        let valid = [
            Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), Array(Self.refusal.readableBytesView),
            Array(ResponseHead.complete(.ok, type: "application/json", body: "{\"bytes\":1}\n").readableBytesView),
        ]
        for input in HostileInputs(damaging: valid, seed: 25, count: 1000) {
            var (whole, pieces) = (NodeAnswerParser(), NodeAnswerParser())
            let answer = whole.feed(ByteBuffer(bytes: input.bytes))
            var first: NodeAnswerParser.Answer?
            for byte in input.single where first == nil { first = pieces.feed(ByteBuffer(bytes: byte)) }
            #expect(first == answer, "\(input)")
        }
    }

    @Test(arguments: [1, 4096, 65_536])
    func whatStandsBehindAnAnswerChangesNothing(_ count: Int) {
        var (joined, refused) = (NodeAnswerParser(), NodeAnswerParser())
        let refusal = Self.refusal.readableBytesView + [UInt8](repeating: 120, count: count)
        #expect(refused.feed(ByteBuffer(bytes: refusal)) == .refused(.receiverGone))
        #expect(joined.feed(ByteBuffer(bytes: Array("HTTP/1.1 100 Continue\r\n\r\n".utf8) + refusal)) == .proceed)
        #expect(joined.feed(ByteBuffer()) == .refused(.receiverGone))
    }

    /// The limit is that of a whole answer: 4 KiB.
    @Test(arguments: [(4055, nil), (4056, .malformed)] as [(Int, NodeAnswerParser.Answer?)])
    func anAnswerThatIsTooLongIsMalformedAtItsHead(_ length: Int, _ answer: NodeAnswerParser.Answer?) {
        var parser = NodeAnswerParser()
        let head = "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n"
        #expect(parser.feed(ByteBuffer(string: head)) == answer)
        guard answer == nil else { return }
        #expect(parser.feed(ByteBuffer(repeating: 120, count: length - 1)) == nil)
        #expect(parser.feed(ByteBuffer(repeating: 120, count: 1)) == .complete)
    }

    @Test func aRefusalWithoutAKnownCodeMeansClusterUnavailable() {
        var parser = NodeAnswerParser()
        let answer = ResponseHead.complete(.badGateway, type: "text/plain", body: "no")
        #expect(parser.feed(answer) == .refused(.clusterUnavailable))
    }
}
