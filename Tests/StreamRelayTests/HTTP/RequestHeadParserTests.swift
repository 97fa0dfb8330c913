// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import StreamRelay

@Suite struct RequestHeadParserTests {
    /// The rows of the HTTP table that are decided by the head alone.
    static let refused: [(String, HTTPStatus)] = [
        ("GET /healthz HTTP/1.1\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .notImplemented),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", .notImplemented),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{0B}chunked\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", .badRequest),
        ("PUT /upload HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\nHost: a\n\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n", .badRequest),
        ("GET /health\u{01}z HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
        ("GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
        ("GET /healthz  HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", .versionNotSupported),
        ("GET /healthz\r\n\r\n", .badRequest),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n", .expectationFailed),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", .methodNotAllowed),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", .methodNotAllowed),
        ("GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
        ("GET /" + String(repeating: "a", count: 65536) + " HTTP/1.1\r\nHost: a\r\n\r\n", .uriTooLong),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 65536) + "\r\n\r\n", .fieldsTooLarge),
        ("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: a\r\n", count: 300) + "\r\n", .fieldsTooLarge),
    ]

    @Test(arguments: refused) func refusesWhatTwoParsersCouldReadDifferently(text: String, status: HTTPStatus) {
        for piece in [text.utf8.count, 1, 7] {
            #expect(Self.feed(text, pieces: piece).refusal?.status == status)
        }
    }

    @Test func readsAHeadHoweverItIsCut() {
        let text =
            "PUT /upload?token=x&y HTTP/1.1\r\nHost: A.example:8443\r\nExpect: 100-Continue\r\n"
            + "content-length:  12\t\r\nX-Any: \r\n\r\nbody"
        let expected = RequestHead(
            method: "PUT", path: "/upload", query: "token=x&y", minorVersion: 1, host: "a.example:8443",
            framing: .length(12), expectsContinue: true,
            fields: [
                .init(name: "host", value: "A.example:8443"), .init(name: "expect", value: "100-Continue"),
                .init(name: "content-length", value: "12"), .init(name: "x-any", value: ""),
            ]
        )
        for piece in 1...text.utf8.count {
            let fed = Self.feed(text, pieces: piece)
            #expect(fed.head == expected)
            #expect(fed.rest == "body")
        }
    }

    @Test func takesAnAbsoluteTargetOfTheSameHost() {
        let fed = Self.feed("GET HTTPS://Relay:1/healthz?q HTTP/1.1\r\nHost: relay:1\r\n\r\n", pieces: 5)
        #expect(fed.head?.path == "/healthz")
        #expect(fed.head?.query == "q")
    }

    @Test func randomBytesNeverCrash() {
        var generator = SeededGenerator(seed: 20)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<400, using: &generator)).map { _ in
                // Mostly the characters that matter, so that the parser gets somewhere.
                Bool.random(using: &generator)
                    ? Array("GET /:\r\n HTTP1.x".utf8).randomElement(using: &generator) ?? 0
                    : UInt8.random(in: .min ... .max, using: &generator)
            }
            var parser = RequestHeadParser()
            var buffer = ByteBuffer(bytes: bytes)
            _ = parser.feed(&buffer)
        }
    }

    private struct Fed {
        var head: RequestHead?
        var refusal: HTTPError?
        var rest: String
    }

    private static func feed(_ text: String, pieces: Int) -> Fed {
        var parser = RequestHeadParser()
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            var buffer = ByteBuffer(bytes: bytes.prefix(pieces))
            bytes = bytes.dropFirst(pieces)
            switch parser.feed(&buffer) {
            case .needMore: continue
            case .head(let head):
                return Fed(head: head, rest: String(buffer: buffer) + String(decoding: bytes, as: UTF8.self))
            case .refused(let refusal): return Fed(refusal: refusal, rest: "")
            }
        }
        return Fed(rest: "")
    }
}
