// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import TLSTransport

/// Servers that want a certificate of the client.
@Suite struct ClientCertificateTests {
    private static let made = Result { try TestCertificates(nodes: ["n1", "n2"]) }
    private let files: TestCertificates

    init() throws { files = try Self.made.get() }

    private func server(_ tickets: TicketKeys = TicketKeys()) throws -> TLSContext {
        try .server(
            certificateChain: files.node("n1"), privateKey: files.nodeKey("n1"), clientAuthority: files.ca,
            applicationProtocols: [], tickets: tickets)
    }

    private func client(_ certificate: String, _ key: String, trust: String? = nil) throws -> TLSContext {
        try .client(
            trust: .file(trust ?? files.ca), certificateChain: certificate, privateKey: key, applicationProtocols: [])
    }

    /// The two ends after the handshake, and after the client has said something.
    private func meet(
        _ client: TLSContext, _ server: TLSContext, name: String = "n1"
    ) throws -> JoinedChannels {
        let joined = try JoinedChannels(
            client: TLSHandler(client: client, serverName: .dns(name), port: 1), server: TLSHandler(server: server))
        try joined.pump()
        return joined
    }

    @Test func bothEndsKnowWhoTheOtherIs() throws {
        let (client, server) = (try client(files.node("n2"), files.nodeKey("n2")), try server())
        for isResumed in [false, true] {
            let joined = try meet(client, server)
            #expect(joined.server.recorder.summary?.peerNames == ["n2"])
            #expect(joined.client.recorder.summary?.peerNames == ["n1"])
            #expect(joined.server.recorder.summary?.isResumed == isResumed)
            joined.client.channel.close(promise: nil)
            try joined.pump()
        }
    }

    @Test func aClientWithoutACertificateIsRefused() throws {
        let plain = try TLSContext.client(trust: .file(files.ca), applicationProtocols: [])
        let joined = try meet(plain, try server())
        #expect(joined.server.recorder.errors.map(\.code) == [.certificateMissing])
        #expect(joined.client.recorder.errors.map(\.code) == [.refusedByPeer])
        #expect(joined.server.recorder.summary == nil)
    }

    @Test func certificatesOfOtherAuthoritiesOrPurposesOrTimesAreRefused() throws {
        let others = try TestCertificates(nodes: ["n2"])
        for (certificate, key, code) in [
            (others.node("n2"), others.nodeKey("n2"), TLSError.Code.unknownAuthority),
            // Good for a server only.
            (files.server, files.serverKey, .certificateRejected),
            (try files.expired(), files.serverKey, .certificateExpired),
        ] {
            let joined = try meet(try client(certificate, key), try server())
            #expect(joined.server.recorder.errors.map(\.code) == [code])
            #expect(joined.client.recorder.errors.map(\.code) == [.refusedByPeer])
            #expect(joined.server.recorder.summary == nil)
        }
    }

    @Test func theServerIsCheckedToo() throws {
        let own = try client(files.node("n2"), files.nodeKey("n2"))
        #expect(try meet(own, try server(), name: "n2").client.recorder.errors.map(\.code) == [.nameMismatch])
        let others = try TestCertificates()
        let stranger = try client(files.node("n2"), files.nodeKey("n2"), trust: others.ca)
        #expect(try meet(stranger, try server()).client.recorder.errors.map(\.code) == [.unknownAuthority])
    }

    /// A ticket of a server that asks no client for a certificate must not open one that does, even with the same keys.
    @Test func aSessionWithoutACertificateIsNotResumed() throws {
        let tickets = TicketKeys()
        let open = try TLSContext.server(
            certificateChain: files.node("n1"), privateKey: files.nodeKey("n1"), applicationProtocols: [],
            tickets: tickets)
        let plain = try TLSContext.client(trust: .file(files.ca), applicationProtocols: [])
        let first = try meet(plain, open)
        #expect(first.client.recorder.summary != nil)
        first.client.channel.close(promise: nil)
        try first.pump()
        let second = try meet(plain, try server(tickets))
        #expect(second.server.recorder.summary == nil)
        #expect(second.server.recorder.errors.count == 1)
    }

    @Test func saysWhichFileIsWrong() throws {
        #expect(throws: TLSError(.trustUnreadable)) {
            try TLSContext.server(
                certificateChain: files.node("n1"), privateKey: files.nodeKey("n1"), clientAuthority: "missing",
                applicationProtocols: [])
        }
        #expect(throws: TLSError(.keyMismatch)) { try client(files.node("n1"), files.nodeKey("n2")) }
        #expect(throws: TLSError(.certificateUnreadable)) { try client("missing", files.nodeKey("n2")) }
    }
}
