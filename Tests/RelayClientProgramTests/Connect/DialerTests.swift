// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import TLSTransport
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// The way to a relay over real sockets, with and without a proxy, and each place where it may end.
@Suite(.timeLimit(.minutes(5))) struct DialerTests {
    private let client: ClientFixture
    private let relay = Endpoint(host: "127.0.0.1", port: 8443)

    init() throws { client = try ClientFixture() }

    private func connect(_ dialer: Dialer, to endpoint: Endpoint) async throws -> any Channel {
        try await dialer.connect(to: endpoint, userTimeout: Defaults.controlUserTimeout) { _ in }
    }

    private func refusal(_ dialer: Dialer, to endpoint: Endpoint) async throws -> ConnectionError {
        try #require(await error(ConnectionError.self) { _ = try await connect(dialer, to: endpoint) })
    }

    private func through(_ proxy: ScriptedServer, timing: Dialer.Timing = .init()) throws -> Dialer {
        try client.dialer(["https_proxy": "http://127.0.0.1:\(proxy.port)"], timing: timing)
    }

    // MARK: - A proxy

    @Test func aTunnelLeadsToTheRelay() async throws {
        let proxy = try await ScriptedServer(client.server) { _ in
            [Scripts.endOfHead, .say("HTTP/1.1 200 Connection established\r\n\r\n"), .tls]
        }
        let channel = try await connect(through(proxy), to: relay)
        #expect(proxy.heard[0].hasPrefix("CONNECT 127.0.0.1:8443 HTTP/1.1\r\n"))
        #expect(proxy.heard[0].contains("\r\nHost: 127.0.0.1:8443\r\n"))
        #expect(proxy.heard[0].contains("\r\nUser-Agent: relay-client/"))
        #expect(!proxy.heard[0].contains("Proxy-Authorization"))
        #expect(client.steps.all == [.dns, .tcp, .proxy, .tls, .certificate])
        try await channel.close()
    }

    @Test func aProxyGetsItsCredentialsAndAnAddressInBrackets() async throws {
        let proxy = try await ScriptedServer { _ in [Scripts.endOfHead, Scripts.answer("403 Forbidden")] }
        let dialer = try client.dialer(["https_proxy": "http://user:word@127.0.0.1:\(proxy.port)"])
        let refused = try await refusal(dialer, to: Endpoint(host: "::1", port: 443))
        #expect(proxy.heard[0].hasPrefix("CONNECT [::1]:443 HTTP/1.1\r\n"))
        // "user:word" in base64.
        #expect(proxy.heard[0].contains("\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n"))
        #expect(refused.step == .proxy && !"\(refused)".contains("word@"))
    }

    @Test(arguments: [
        ("407 Proxy Authentication Required", TransferClient.ExitStatus.refused, false),
        ("403 Forbidden", .refused, false),
        ("502 Bad Gateway", .unreachable, true), ("301 Moved Permanently", .unreachable, false),
    ])
    func aProxyThatRefusesIsLeft(_ answer: String, _ status: TransferClient.ExitStatus, _ isTemporary: Bool)
        async throws
    {
        let proxy = try await ScriptedServer { _ in [Scripts.endOfHead, Scripts.answer(answer)] }
        let refused = try await refusal(through(proxy), to: relay)
        #expect(refused.step == .proxy && refused.status == status && refused.isTemporary == isTemporary)
        #expect(refused.summary.contains("127.0.0.1:\(proxy.port)"))
        try await eventually("the connection to end") { proxy.ended == 1 }
    }

    @Test(arguments: [
        [ScriptedServer.Step.say("SSH-2.0-OpenSSH_9.2\r\n\r\n")], [.close], [.say("HTTP/1.1 200 OK\r\n"), .close],
    ])
    func whatIsNoProxyIsSaidToBeNone(_ steps: [ScriptedServer.Step]) async throws {
        let proxy = try await ScriptedServer { _ in [Scripts.endOfHead] + steps }
        let refused = try await refusal(through(proxy), to: relay)
        #expect(refused.step == .proxy && refused.status == .unreachable && refused.isTemporary)
        #expect(refused.advice == "check that HTTPS_PROXY names an HTTP proxy")
        try await eventually("the connection to end") { proxy.ended == 1 }
    }

    @Test func aProxyThatSaysNothingIsNotWaitedForWithoutEnd() async throws {
        let proxy = try await ScriptedServer { _ in [] }
        let refused = try await refusal(through(proxy, timing: .init(connect: .milliseconds(500))), to: relay)
        #expect(refused.step == .proxy && refused.isTemporary)
        try await eventually("the connection to end") { proxy.ended == 1 }
    }

    @Test func anExemptRelayIsDialledDirectly() async throws {
        let server = try await ScriptedServer(client.server) { _ in [.tls] }
        let dialer = try client.dialer(["https_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.0/8"])
        let channel = try await connect(dialer, to: server.endpoint)
        #expect(client.steps.all == [.dns, .tcp, .tls, .certificate])
        try await channel.close()
    }

    @Test func aProxyOfAnotherKindIsAnErrorBeforeAnythingIsDialled() async throws {
        let refused = try await refusal(client.dialer(["https_proxy": "socks5://127.0.0.1:1"]), to: relay)
        #expect(refused.step == .settings && refused.status == .configuration && client.steps.all.isEmpty)
    }

    // MARK: - TCP and TLS

    @Test func aPortWithoutAListenerRefusesTheConnection() async throws {
        let port = try ReservedPort()
        let endpoint = Endpoint(host: "127.0.0.1", port: Int(port.number))
        let refused = try await refusal(client.dialer(), to: endpoint)
        #expect(refused.step == .tcp && refused.isTemporary && client.steps.all.isEmpty)
        #expect(refused.summary == "cannot connect to \(endpoint): connection refused")
        let proxied = try client.dialer(["https_proxy": "http://\(endpoint)"])
        let other = try await refusal(proxied, to: relay)
        #expect(other.summary == "cannot connect to the proxy \(endpoint): connection refused")
    }

    @Test func aNameWithoutAnAddressIsSaidToBeThat() async throws {
        let refused = try await refusal(client.dialer(), to: Endpoint(host: "relay.invalid", port: 443))
        #expect(refused.step == .dns && refused.summary == "no address found for relay.invalid")
    }

    @Test func aServerWithoutTLSIsSaidToBeOne() async throws {
        let server = try await ScriptedServer { _ in [Scripts.clientHello, .say("HTTP/1.1 400 Bad Request\r\n\r\n")] }
        let refused = try await refusal(client.dialer(), to: server.endpoint)
        #expect(refused.step == .tls && refused.status == .protocolBreach && !refused.isTemporary)
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func aServerThatSaysNothingIsNotWaitedForWithoutEnd() async throws {
        let server = try await ScriptedServer { _ in [] }
        let refused = try await refusal(
            client.dialer(timing: .init(handshake: .milliseconds(50))), to: server.endpoint)
        #expect(refused.step == .tls && refused.isTemporary && client.steps.all == [.dns, .tcp])
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func aServerThatClosesDuringTheHandshakeMayBeTriedAgain() async throws {
        let server = try await ScriptedServer { _ in [Scripts.clientHello, .close] }
        let refused = try await refusal(client.dialer(), to: server.endpoint)
        #expect(refused.step == .tls && refused.status == .unreachable && refused.isTemporary)
    }

    @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
        let server = try await ScriptedServer(client.server) { _ in [.tls] }
        let other = try TestCertificates()
        let refused = try await refusal(client.dialer(trusting: other.ca), to: server.endpoint)
        #expect(refused.step == .certificate && refused.status == .refused && refused.advice.contains("--ca FILE"))
    }

    @Test func aCertificateForAnotherNameIsRefused() async throws {
        let certificates = try TestCertificates(names: ["relay.example.com"])
        let context = try TLSContext.server(
            certificateChain: certificates.server, privateKey: certificates.serverKey, applicationProtocols: []
        )
        let server = try await ScriptedServer(context) { _ in [.tls] }
        let refused = try await refusal(client.dialer(trusting: certificates.ca), to: server.endpoint)
        #expect(refused.step == .certificate && refused.summary.contains("is for other names than 127.0.0.1"))
    }

    @Test func anExpiredCertificateIsRefused() async throws {
        let certificates = try TestCertificates()
        let context = try TLSContext.server(
            certificateChain: try certificates.expired(), privateKey: certificates.serverKey, applicationProtocols: []
        )
        let server = try await ScriptedServer(context) { _ in [.tls] }
        let dialer = try client.dialer(trusting: certificates.ca)
        let refused = try await refusal(dialer, to: Endpoint(host: "localhost", port: server.port))
        #expect(refused.step == .certificate && refused.summary.hasSuffix("has expired"))
    }

    @Test func theRelaysCloseNotifyClosesTheConnection() async throws {
        let server = try await ScriptedServer(client.server) { _ in [.tls, .read(until: "quit"), .close] }
        let channel = try await connect(client.dialer(), to: server.endpoint)
        try await channel.writeAndFlush(ByteBuffer(string: "quit"))
        try await channel.closeFuture.get()
        #expect(server.heard == ["quit"])
    }
}
