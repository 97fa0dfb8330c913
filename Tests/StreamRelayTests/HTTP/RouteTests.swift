// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import StreamRelay

@Suite struct RouteTests {
    private static let token = Token.random()

    @Test func findsEachResource() throws {
        let token = Self.token
        #expect(try Self.route("GET /healthz") == .health)
        #expect(try Self.route("HEAD /healthz") == .health)
        #expect(try Self.route("GET /download?token=\(token.rawValue)") == .download(token))
        #expect(try Self.route("GET /download?a=b&%74oken=\(token.rawValue)") == .download(token))
        #expect(try Self.route("GET /download", ["Authorization: Bearer \(token.rawValue)"]) == .download(token))
        #expect(
            try Self.route("PUT /upload", ["authorization: bEARER \(token.rawValue)", "Content-Length: 0"])
                == .upload(token))
        #expect(
            try Self.route("POST /upload?token=\(token.rawValue)", ["Transfer-Encoding: chunked"]) == .upload(token))
        let accept = try Self.route("GET /ws", Self.upgrade)
        #expect(accept == .control(try WebSocketHandshake(Self.head("GET /ws", Self.upgrade))))
    }

    @Test func leavesTheRestToPages() throws {
        for start in ["GET /", "GET /index.html", "DELETE /healthz/", "GET /WS"] {
            #expect(try Self.route(start) == .page)
        }
    }

    @Test func computesTheAcceptKeyOfTheStandardsExample() throws {
        let handshake = try WebSocketHandshake(Self.head("GET /ws", Self.upgrade))
        #expect(handshake.accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(handshake.audience == "relay.example")
    }

    @Test(arguments: [
        ("PUT /download", ["Content-Length: 0"], HTTPStatus.methodNotAllowed),
        ("HEAD /download", [], .methodNotAllowed),
        ("GET /upload", [], .methodNotAllowed),
        ("DELETE /upload", [], .methodNotAllowed),
        ("POST /ws", [], .methodNotAllowed),
        ("PUT /upload", [], .lengthRequired),
        ("PUT /upload", ["Content-Length: 5"], .unauthorized),
        ("GET /download", [], .unauthorized),
        ("GET /download", ["Authorization: Basic YTpi"], .unauthorized),
        ("GET /download?token=short", [], .forbidden),
        ("GET /download?token", [], .forbidden),
        ("GET /download?token=a&token=b", [], .badRequest),
        ("GET /download?token=a", ["Authorization: Bearer b"], .badRequest),
        ("GET /download?token=%4", [], .badRequest),
        ("GET /download", ["Content-Length: 5"], .badRequest),
        ("GET /healthz", ["Transfer-Encoding: chunked"], .badRequest),
        ("GET /ws", [], .upgradeRequired),
        ("GET /ws", upgrade.map { $0.replacing("Version: 13", with: "Version: 8") }, .upgradeRequired),
        ("GET /ws", upgrade.map { $0.replacing("dGhlIHNhbXBsZSBub25jZQ==", with: "dGhl") }, .badRequest),
        ("GET /ws", upgrade + ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], .badRequest),
        ("GET /ws", upgrade.filter { !$0.contains("Key") }, .badRequest),
        ("GET /ws", upgrade.filter { !$0.contains("Protocol") }, .badRequest),
        ("GET /ws", upgrade + ["Content-Length: 5"], .badRequest),
        ("GET /ws", upgrade + ["Origin: https://evil.example"], .forbidden),
    ])
    func refusesTheRest(start: String, fields: [String], status: HTTPStatus) {
        #expect { try Self.route(start, fields) } throws: { ($0 as? HTTPError)?.status == status }
    }

    @Test func acceptsAPageOfItsOwnOrigin() throws {
        _ = try Self.route("GET /ws", Self.upgrade + ["Origin: https://Relay.example"])
    }

    @Test func downloadsNeedAVersionThatCanTellACutFromAnEnd() {
        #expect { try Self.route("GET /download?token=a", version: "HTTP/1.0") } throws: {
            ($0 as? HTTPError)?.status == .versionNotSupported
        }
    }

    private static let upgrade = [
        "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: other, relay.v1",
    ]

    private static func route(_ start: String, _ fields: [String] = [], version: String = "HTTP/1.1") throws -> Route {
        try Route(head(start, fields, version: version))
    }

    private static func head(_ start: String, _ fields: [String], version: String = "HTTP/1.1") throws -> RequestHead {
        var parser = RequestHeadParser()
        let lines = ["\(start) \(version)", "Host: Relay.example"] + fields
        var buffer = ByteBuffer(string: lines.map { $0 + "\r\n" }.joined() + "\r\n")
        switch parser.feed(&buffer) {
        case .head(let head): return head
        case .refused(let refusal): throw refusal
        case .needMore: throw HTTPError.malformed("incomplete")
        }
    }
}
