// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay
import TLSTransport
import Testing

@testable import RelayNode

@Suite struct ListenerPurposeTests {
    private static let names: [TLSServerName] = [
        .dns("relay.example"), .dns("*.relays.example"), .ip("192.0.2.1"), .ip("2001:db8::1"),
    ]

    private func answer(_ target: String, host: String, port: Int = 443) throws -> HTTPError? {
        var parser = RequestHeadParser()
        var bytes = ByteBuffer(string: "GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        guard case .head(let head) = parser.feed(&bytes) else {
            Issue.record("not a head")
            return nil
        }
        return ListenerPurpose.redirect(RedirectNames(names: Self.names, port: port)).redirection(for: head)
    }

    @Test(arguments: [
        ("/", "relay.example", 443, "https://relay.example/"),
        ("/ws", "relay.example:80", 443, "https://relay.example/ws"),
        ("/ws", "relay.example:80", 8443, "https://relay.example:8443/ws"),
        ("/", "RELAY.example", 443, "https://relay.example/"),
        ("/", "a.relays.example", 443, "https://a.relays.example/"),
        ("/", "192.0.2.1:80", 8443, "https://192.0.2.1:8443/"),
        ("/", "[2001:db8::1]", 443, "https://[2001:db8::1]/"),
        ("/", "[2001:db8:0:0::1]:80", 8443, "https://[2001:db8:0:0::1]:8443/"),
        ("/download?token=AAAA", "relay.example", 443, "https://relay.example/download"),
        ("//other.example/", "relay.example", 443, "https://relay.example//other.example/"),
    ])
    func sendsPeopleToTheRelayWithoutTheirToken(
        target: String, host: String, port: Int, expected: String
    ) throws {
        let answer = try #require(try answer(target, host: host, port: port))
        #expect(answer.status == .permanentRedirect)
        #expect(answer.fields.first { $0.name == "Location" }?.value == expected)
    }

    @Test(arguments: [
        "evil.example", "evil.example:443", "relay.example.evil.example", "evil-relay.example", "a.relay.example",
        "relays.example", "a.b.relays.example", ".relays.example", "192.0.2.2", "[2001:db8::2]", "2001:db8::1",
        "localhost", "relay.example:80:evil.example", "[relay.example]", "a.relays.example.evil",
    ])
    func redirectsNoRequestToAnotherHost(host: String) throws {
        let answer = try #require(try answer("/", host: host))
        #expect(answer.status == .misdirectedRequest)
        #expect(answer.fields.isEmpty)
        #expect(!answer.message.contains(host))
    }

    @Test func healthIsAnsweredHere() throws {
        #expect(try answer("/healthz", host: "evil.example") == nil)
        var parser = RequestHeadParser()
        var bytes = ByteBuffer(string: "GET /ws HTTP/1.1\r\nHost: relay.example\r\n\r\n")
        guard case .head(let head) = parser.feed(&bytes) else { return #expect(Bool(false)) }
        #expect(ListenerPurpose.relay.redirection(for: head) == nil)
    }
}
