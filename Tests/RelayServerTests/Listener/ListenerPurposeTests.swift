// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayServer

@Suite struct ListenerPurposeTests {
    private func location(_ target: String, host: String?, port: Int) throws -> String? {
        var parser = RequestHeadParser()
        let field = host.map { "Host: \($0)\r\n" } ?? ""
        var bytes = ByteBuffer(string: "GET \(target) HTTP/1.1\r\n\(field)\r\n")
        guard case .head(let head) = parser.feed(&bytes) else { return "not a head" }
        let answer = try #require(ListenerPurpose.redirect(toPort: port).redirection(for: head))
        #expect(answer.status == .permanentRedirect)
        return answer.fields.first { $0.name == "Location" }?.value
    }

    @Test(arguments: [
        ("/", "relay.example", 443, "https://relay.example/"),
        ("/ws", "relay.example:80", 443, "https://relay.example/ws"),
        ("/ws", "relay.example:80", 8443, "https://relay.example:8443/ws"),
        ("/", "[2001:db8::1]", 443, "https://[2001:db8::1]/"),
        ("/", "[2001:db8::1]:80", 8443, "https://[2001:db8::1]:8443/"),
        ("/download?token=AAAA", "relay.example", 443, "https://relay.example/download"),
    ])
    func sendsPeopleToTheRelayWithoutTheirToken(
        target: String, host: String, port: Int, expected: String
    ) throws {
        #expect(try location(target, host: host, port: port) == expected)
    }

    @Test func healthIsAnsweredHere() throws {
        var parser = RequestHeadParser()
        var bytes = ByteBuffer(string: "GET /healthz HTTP/1.1\r\nHost: relay.example\r\n\r\n")
        guard case .head(let head) = parser.feed(&bytes) else { return #expect(Bool(false)) }
        #expect(ListenerPurpose.redirect(toPort: 443).redirection(for: head) == nil)
        #expect(ListenerPurpose.relay.redirection(for: head) == nil)
    }
}
