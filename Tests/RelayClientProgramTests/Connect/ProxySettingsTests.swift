// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

@Suite struct ProxySettingsTests {
    private static let relay = Endpoint(host: "relay.example.com", port: 8443)

    @Test(arguments: [
        (["https_proxy": "http://p:3128"], "p:3128"), (["https_proxy": " http://p:3128\r\n"], "p:3128"),
        (["HTTPS_PROXY": "http://p:3128"], "p:3128"),
        (["https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:2"], "low:1"),
        (["https_proxy": "", "HTTPS_PROXY": "http://up:2"], "up:2"),
        (["all_proxy": "http://all:3"], "all:3"),
        (["ALL_PROXY": "http://all:3", "https_proxy": "http://p:4"], "p:4"),
        (["HTTPS_PROXY": "p"], "p:1080"),
        (["HTTPS_PROXY": "p:3128/"], "p:3128"),
        (["HTTPS_PROXY": "http://p"], "p:80"),
        (["HTTPS_PROXY": "http://[::1]:3128"], "[::1]:3128"),
    ])
    func findsTheProxy(_ row: ([String: String], String)) throws {
        let proxy = try ProxySettings(environment: row.0).proxy(for: Self.relay)
        #expect(proxy?.endpoint.description == row.1)
        #expect(proxy?.authorization == nil)
    }

    @Test(arguments: [[:], ["HTTP_PROXY": "http://p:1"], ["http_proxy": "http://p:1"], ["https_proxy": ""]])
    func knowsWhenThereIsNone(_ environment: [String: String]) throws {
        #expect(try ProxySettings(environment: environment).proxy(for: Self.relay) == nil)
    }

    @Test func takesCredentialsFromTheURLAndNeverShowsThem() throws {
        let userInfo = ["us%40er", "p%3Aw%C3%A9"].joined(separator: ":")
        let settings = ProxySettings(environment: ["HTTPS_PROXY": "http://\(userInfo)@p:3128"])
        // "us@er:p:wé" in base64.
        #expect(try settings.proxy(for: Self.relay)?.authorization == "Basic dXNAZXI6cDp3w6k=")
        #expect(try settings.proxy(for: Self.relay)?.description == "http://p:3128")
        let other = ProxySettings(environment: ["HTTPS_PROXY": "http://u@p:1"])
        #expect(try other.proxy(for: Self.relay)?.authorization == "Basic dTo=")
    }

    @Test(arguments: [
        "socks5://p:1", "https://p:1", "http://:1", "http://p:0", "http://p:x", "http://u:%ZZ@p:1", "http://u:%4@p:1",
        "http://u%0a:x@p:1", "http://a%3Ab:c@p:1", "http://%ff@p:1",
    ])
    func refusesWhatItCannotUseWithoutShowingIt(_ value: String) {
        #expect {
            try ProxySettings(environment: ["HTTPS_PROXY": value]).proxy(for: Self.relay)
        } throws: { error in
            guard let error = error as? Proxy.Malformed else { return false }
            return error.description.contains("HTTPS_PROXY") && !error.description.contains(value)
        }
    }

    @Test func whatItCannotUseIsNoMatterWhereItIsNotUsed() throws {
        let settings = ProxySettings(environment: ["ALL_PROXY": "socks5://p:1", "NO_PROXY": "example.com"])
        #expect(try settings.proxy(for: Self.relay) == nil)
        #expect(throws: Proxy.Malformed.self) { try settings.proxy(for: Endpoint(host: "example.org", port: 443)) }
    }

    @Test(arguments: [
        ("*", "relay.example.com", 1, true),
        ("relay.example.com", "relay.example.com", 1, true),
        ("RELAY.Example.com", "relay.example.com", 1, true),
        ("example.com", "relay.example.com", 1, true),
        (".example.com", "relay.example.com", 1, true),
        (".example.com", "example.com", 1, true),
        ("ample.com", "example.com", 1, false),
        ("relay.example.com", "example.com", 1, false),
        ("a, example.com ,b", "example.com", 1, true),
        ("a example.com", "example.com", 1, true),
        ("example.com:8443", "example.com", 8443, true),
        ("example.com:8443", "example.com", 443, false),
        ("127.0.0.1", "127.0.0.1", 1, true),
        ("127.0.0.1", "127.0.0.2", 1, false),
        ("0.0.1", "127.0.0.1", 1, false),
        ("127.0.0.1:80", "127.0.0.1", 81, false),
        ("10.0.0.0/8", "10.200.3.4", 1, true),
        ("10.0.0.0/8", "11.0.0.1", 1, false),
        ("10.1.2.0/23", "10.1.3.255", 1, true),
        ("10.1.2.0/23", "10.1.4.0", 1, false),
        ("10.0.0.0/33", "10.0.0.1", 1, false),
        ("0.0.0.0/0", "10.0.0.1", 1, true),
        ("0.0.0.0/0", "::1", 1, false),
        ("10.0.0.0/8", "relay.example.com", 1, false),
        ("[::1]", "::1", 1, true),
        ("::1", "::1", 1, true),
        ("0:0:0:0:0:0:0:1", "::1", 1, true),
        ("[::1]:8443", "::1", 443, false),
        ("fd00::/8", "fd12::1", 1, true),
        ("fd00::/-1", "fd12::1", 1, false),
        ("", "example.com", 1, false),
        (",,:,/,[", "example.com", 1, false),
    ])
    func exemptsWhatNoProxyNames(_ row: (String, String, Int, Bool)) throws {
        let settings = ProxySettings(environment: ["HTTPS_PROXY": "http://p:1", "NO_PROXY": row.0])
        #expect((try settings.proxy(for: Endpoint(host: row.1, port: row.2)) == nil) == row.3)
    }
}
