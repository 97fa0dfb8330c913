// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayServer

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

    private struct Read: Equatable {
        var content: String
        var outcome: RequestBodyReader.Step
        var rest: String
    }

    private static func read(_ framing: BodyFraming, _ text: String, pieces: Int) -> Read {
        var reader = RequestBodyReader(framing)
        var content = ""
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            var buffer = ByteBuffer(bytes: bytes.prefix(pieces))
            bytes = bytes.dropFirst(pieces)
            steps: while true {
                let step = reader.next(&buffer)
                switch step {
                case .content(let piece): content += String(buffer: piece)
                case .needMore: break steps
                case .end, .malformed:
                    let rest = String(buffer: buffer) + String(decoding: bytes, as: UTF8.self)
                    return Read(content: content, outcome: step, rest: rest)
                }
            }
        }
        return Read(content: content, outcome: .needMore, rest: "")
    }
}
