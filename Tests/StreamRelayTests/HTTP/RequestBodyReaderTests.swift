// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import StreamRelay

@Suite struct RequestBodyReaderTests {
    @Test func readsALengthAndLeavesTheRest() {
        for piece in 1...9 {
            let read = Self.read(.length(5), "helloREST", pieces: piece)
            #expect(read == Read(content: "hello", outcome: .end, rest: "REST"))
        }
        #expect(Self.read(.length(5), "hel", pieces: 2) == Read(content: "hel", outcome: .needMore, rest: ""))
        #expect(Self.read(.length(0), "x", pieces: 1) == Read(content: "", outcome: .end, rest: "x"))
        #expect(Self.read(.none, "x", pieces: 1) == Read(content: "", outcome: .end, rest: "x"))
    }

    @Test func readsChunksHoweverTheyAreCut() {
        let text = "5\r\nhello\r\n00a;name=\"value\"\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\nREST"
        for piece in 1...text.utf8.count {
            #expect(
                Self.read(.chunked, text, pieces: piece)
                    == Read(content: "hello0123456789", outcome: .end, rest: "REST"))
        }
    }

    @Test(arguments: [
        "-1\r\n", "0x5\r\nhello\r\n", "fffffffffffffffff\r\n", "5 \r\nhello", "5\nhello\n", "5;a\nb\r\nhello", "\r\n",
        "5\r\nhelloXX", "5\r\nhello\n", "5\r\nhello\rX", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nbad\r\n\r\n",
        "0\r\n\n", "5\rX", "g\r\n", "0\r\nContent-Length: 3\r\n\r\n",
    ])
    func refusesBrokenChunks(text: String) {
        for piece in [text.utf8.count, 1] {
            #expect(Self.read(.chunked, text, pieces: piece).outcome == .malformed)
        }
    }

    @Test func boundsExtensionsAndTrailers() {
        let long = String(repeating: "a", count: 20_000)
        #expect(Self.read(.chunked, "5;" + long, pieces: 100).outcome == .malformed)
        #expect(Self.read(.chunked, "0\r\nX: " + long, pieces: 100).outcome == .malformed)
    }

    @Test func contentSharesTheBufferItCameFrom() {
        var reader = RequestBodyReader(.length(100))
        var buffer = ByteBuffer(string: "0123456789")
        let before = buffer.withUnsafeReadableBytes { $0.baseAddress }
        guard case .content(let content) = reader.next(&buffer) else {
            Issue.record("no content")
            return
        }
        #expect(content.withUnsafeReadableBytes { $0.baseAddress } == before)
    }

    @Test func hostileBodiesReadTheSameHoweverTheyAreCut() {
        let valid = [
            "5\r\nhello\r\n00a;name=\"value\"\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\nREST",
            "0\r\n\r\n", "fffffffffffffff\r\nx", "1;a=b;c\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        ]
        for input in HostileInputs(damaging: valid, seed: 21) {
            for framing in [BodyFraming.chunked, .length(7), .length(.max), .none] {
                let whole = Self.read(framing, input.bytes, pieces: max(1, input.bytes.count))
                #expect(Self.read(framing, input.bytes, pieces: 1) == whole, "\(framing), \(input)")
                #expect(whole.content.count + whole.rest.count <= input.bytes.count, "\(framing), \(input)")
            }
        }
    }

    private struct Read: Equatable {
        var content: [UInt8]
        var outcome: RequestBodyReader.Step
        var rest: [UInt8]

        init(content: [UInt8], outcome: RequestBodyReader.Step, rest: [UInt8]) {
            self.content = content
            self.outcome = outcome
            self.rest = rest
        }

        init(content: String, outcome: RequestBodyReader.Step, rest: String) {
            self.init(content: Array(content.utf8), outcome: outcome, rest: Array(rest.utf8))
        }
    }

    private static func read(_ framing: BodyFraming, _ text: String, pieces: Int) -> Read {
        read(framing, Array(text.utf8), pieces: pieces)
    }

    private static func read(_ framing: BodyFraming, _ all: [UInt8], pieces: Int) -> Read {
        var reader = RequestBodyReader(framing)
        var content: [UInt8] = []
        var bytes = all[...]
        while !bytes.isEmpty {
            var buffer = ByteBuffer(bytes: bytes.prefix(pieces))
            bytes = bytes.dropFirst(pieces)
            steps: while true {
                let step = reader.next(&buffer)
                switch step {
                case .content(let piece): content += piece.readableBytesView
                case .needMore: break steps
                case .end, .malformed:
                    return Read(content: content, outcome: step, rest: Array(buffer.readableBytesView) + bytes)
                }
            }
        }
        return Read(content: content, outcome: .needMore, rest: [])
    }
}
