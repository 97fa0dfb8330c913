// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct RelayURLTests {
    @Test(arguments: [
        ("https://relay.example.com", "relay.example.com", 443, "", "relay.example.com"),
        ("wss://Relay.Example.com/", "relay.example.com", 443, "", "relay.example.com"),
        ("HTTPS://relay.example.com:8443", "relay.example.com", 8443, "", "relay.example.com:8443"),
        ("https://relay.example.com:443/", "relay.example.com", 443, "", "relay.example.com"),
        ("https://relay.example.com/some/where/", "relay.example.com", 443, "/some/where", "relay.example.com"),
        ("https://127.0.0.1:8443", "127.0.0.1", 8443, "", "127.0.0.1:8443"),
        ("https://[::1]:8443", "::1", 8443, "", "[::1]:8443"),
        ("https://[2001:DB8::1]", "2001:db8::1", 443, "", "[2001:db8::1]"),
    ])
    func readsWhatPeopleWrite(_ row: (String, String, Int, String, String)) throws {
        let url = try RelayURL(row.0)
        #expect(url.endpoint.host == row.1)
        #expect(url.endpoint.port == row.2)
        #expect(url.prefix == row.3)
        #expect(url.endpoint.authority == row.4)
        #expect(url.controlTarget.target == row.3 + "/ws")
    }

    @Test(arguments: [
        "", "relay.example.com", "relay.example.com:8443", "http://relay.example.com", "ws://relay.example.com",
        "ftp://relay.example.com", "https://", "https://:8443", "https://a:b@relay.example.com", "https://relay:0",
        "https://relay:65536", "https://relay:+443", "https://relay:", "https://relay: 443", "https://re lay",
        "https://[::1", "https://[::1]8443", "https://[nonsense]", "https://::1", "https://relay/a?b",
        "https://relay/#a",
        "https://relay?x", "https://relay/a b", "https://relay/../x", "https://-relay", "https://relay..example",
        "https://relay/\r\nX: y", "https://relay\r\nX: y",
    ])
    func refusesWhatIsNoRelay(_ text: String) {
        #expect(throws: ConnectionError.self) { try RelayURL(text) }
    }

    @Test func saysWhatToWriteInstead() {
        #expect(throws: ConnectionError(url: "\"relay:8443\" is not a URL; write it as https://relay:8443")) {
            try RelayURL("relay:8443")
        }
        #expect(
            throws: ConnectionError(
                url: "a relay is reached over TLS only; write the URL with https:// and not http://"
            )
        ) { try RelayURL("http://relay") }
    }

    @Test(arguments: [
        ("/upload", "relay.example.com:8443", "/upload"),
        ("upload", "relay.example.com:8443", "/p/upload"),
        ("/upload?x=1", "relay.example.com:8443", "/upload?x=1"),
        ("https://node2.example.com/upload", "node2.example.com:443", "/upload"),
        ("https://node2.example.com:8443", "node2.example.com:8443", "/"),
        ("https://node2.example.com?a=b", "node2.example.com:443", "/?a=b"),
        ("//node2.example.com/upload", "node2.example.com:443", "/upload"),
        ("https://[::1]:1/u", "[::1]:1", "/u"),
    ])
    func resolvesWhatTheRelaySays(_ row: (String, String, String)) throws {
        let target = try RelayURL("https://relay.example.com:8443/p").resolve(row.0)
        #expect(target?.endpoint.description == row.1)
        #expect(target?.target == row.2)
    }

    @Test(arguments: [
        "", "http://node2/upload", "ftp://x/", "/up load", "/upload\r\nX: y", "/../upload", "https:///upload",
        "https://a@b/upload", "/upload#x", "//", "https://node:99999/", "/\u{0}", "/ü",
    ])
    func refusesWhatARelayMustNotSay(_ reference: String) throws {
        #expect(try RelayURL("https://relay.example.com").resolve(reference) == nil)
    }

    @Test func refusesALongReference() throws {
        #expect(
            try RelayURL("https://r").resolve("/" + String(repeating: "a", count: Defaults.longestReference)) == nil)
    }
}
