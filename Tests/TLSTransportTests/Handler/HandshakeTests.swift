// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import TLSTransport

@Suite struct HandshakeTests {
    @Test func agreesOnTheNewestVersionAndTheCheapestSuite() throws {
        let joined = try Fixture.open()
        func expected(_ peerNames: [String]) -> TLSHandshakeSummary {
            TLSHandshakeSummary(
                version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", applicationProtocol: "http/1.1",
                isResumed: false, peerNames: peerNames)
        }
        #expect(joined.client.recorder.summary == expected(["localhost", "*.wild.test"]))
        #expect(joined.server.recorder.summary == expected([]), "\(joined.server.recorder.errors)")
    }

    @Test(arguments: ["localhost", "LOCALHOST.", "a.wild.test", "127.0.0.1", "::1", "[::1]"])
    func acceptsEachNameOfTheCertificate(name: String) throws {
        let joined = try Fixture.joined(name: name)
        try joined.pump()
        #expect(joined.client.recorder.errors == [])
        #expect(joined.client.recorder.summary != nil)
    }

    @Test(arguments: ["other.test", "a.b.wild.test", "wild.test", "127.0.0.2", "localhost.test"])
    func refusesEveryOtherName(name: String) throws {
        let joined = try Fixture.joined(name: name)
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.nameMismatch])
        #expect(joined.client.recorder.errors.first?.subject == name)
        #expect(joined.client.recorder.summary == nil)
        #expect(joined.server.recorder.errors.map(\.code) == [.refusedByPeer])
        #expect(!joined.client.channel.isActive)
        #expect(!joined.server.channel.isActive)
    }

    @Test(arguments: ["", "a\0b"])
    func anImpossibleServerNameFailsAtOnce(name: String) throws {
        let joined = try Fixture.joined(name: name)
        try joined.pump()
        #expect(joined.client.recorder.summary == nil)
        #expect(joined.client.recorder.errors.map(\.code) == [.setupFailed])
    }

    @Test func refusesAnUnknownAuthority() throws {
        let others = try TestCertificates()
        let joined = try JoinedChannels(
            client: TLSHandler(
                client: try .client(trust: .file(others.ca), applicationProtocols: []), serverName: .dns("localhost")),
            server: TLSHandler(server: try Fixture.server()))
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.unknownAuthority])
        #expect(joined.server.recorder.errors.map(\.code) == [.refusedByPeer])
    }

    @Test func theSystemDoesNotTrustThePrivateAuthority() throws {
        let joined = try JoinedChannels(
            client: TLSHandler(
                client: try .client(trust: .system, applicationProtocols: []), serverName: .dns("localhost")),
            server: TLSHandler(server: try Fixture.server()))
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.unknownAuthority])
    }

    @Test func refusesAnExpiredCertificate() throws {
        let files = try TestCertificates()
        let context = try TLSContext.server(
            certificateChain: try files.expired(), privateKey: files.serverKey, applicationProtocols: [])
        let joined = try JoinedChannels(
            client: TLSHandler(
                client: try .client(trust: .file(files.ca), applicationProtocols: []), serverName: .dns("localhost")),
            server: TLSHandler(server: context))
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.certificateExpired])
    }

    @Test func theSubjectOfACertificateIsNotComparedWithTheName() throws {
        let files = try TestCertificates()
        let context = try TLSContext.server(
            certificateChain: try files.withoutAlternativeNames(), privateKey: files.serverKey,
            applicationProtocols: [])
        let joined = try JoinedChannels(
            client: TLSHandler(
                client: try .client(trust: .file(files.ca), applicationProtocols: []), serverName: .dns("localhost")),
            server: TLSHandler(server: context))
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.nameMismatch])
    }

    @Test func aClientWithoutACommonProtocolIsRefused() throws {
        let joined = try JoinedChannels(
            client: TLSHandler(client: try Fixture.client(protocols: ["h2"]), serverName: .dns("localhost")),
            server: TLSHandler(server: try Fixture.server()))
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.noCommonProtocol])
        #expect(joined.server.recorder.errors.count == 1)
    }

    @Test func aClientWithoutApplicationProtocolsIsWelcome() throws {
        let joined = try JoinedChannels(
            client: TLSHandler(client: try Fixture.client(protocols: []), serverName: .dns("localhost")),
            server: TLSHandler(server: try Fixture.server()))
        try joined.pump()
        #expect(joined.client.recorder.summary?.applicationProtocol == nil)
        #expect(joined.server.recorder.summary != nil)
    }

    @Test func aClientResumesAndASessionIsUsedOnce() throws {
        let (client, server) = (try Fixture.client(), try Fixture.server())
        var resumed: [Bool?] = []
        for _ in 0..<4 {
            let joined = try JoinedChannels(
                client: TLSHandler(client: client, serverName: .dns("localhost"), port: 443),
                server: TLSHandler(server: server))
            try joined.pump()
            resumed.append(joined.client.recorder.summary?.isResumed)
            joined.client.channel.close(promise: nil)
            try joined.pump()
        }
        #expect(resumed == [false, true, true, true])
        let other = try JoinedChannels(
            client: TLSHandler(client: client, serverName: .dns("localhost"), port: 444),
            server: TLSHandler(server: server))
        try other.pump()
        #expect(other.client.recorder.summary?.isResumed == false)
    }

    @Test(arguments: [1, 5, 100])
    func worksHoweverTheBytesAreCut(drip: Int) throws {
        let joined = try Fixture.joined()
        joined.drip = drip
        try joined.pump()
        joined.client.write(Fixture.bytes(20_000))
        try joined.pump()
        #expect(joined.server.recorder.bytes == Fixture.bytes(20_000))
    }

    @Test func aServerHasNoSessionBeforeTheClientSaysSomething() throws {
        let handler = TLSHandler(server: try Fixture.server())
        let channel = EmbeddedChannel(handler: handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(handler.connection == nil && channel.isActive)
        try channel.writeInbound(ByteBuffer(bytes: [0x16]))
        #expect(handler.connection != nil && channel.isActive)
        let silent = EmbeddedChannel(handler: TLSHandler(server: try Fixture.server()))
        try silent.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        silent.embeddedEventLoop.advanceTime(by: TLSDefaults.handshakeTimeout)
        #expect(!silent.isActive)
        #expect(throws: TLSError.self) { try silent.throwIfErrorCaught() }
    }

    @Test func theHandshakeHasATimeLimit() throws {
        let joined = try Fixture.joined()
        joined.loop.advanceTime(by: TLSDefaults.handshakeTimeout - .nanoseconds(1))
        #expect(joined.server.recorder.errors == [])
        joined.loop.advanceTime(by: .nanoseconds(1))
        #expect(joined.server.recorder.errors.map(\.code) == [.handshakeTimeout])
        #expect(!joined.server.channel.isActive)
        #expect(joined.client.recorder.errors.map(\.code) == [.handshakeTimeout])
    }

    @Test func theTimeLimitIsOverWithTheHandshake() throws {
        let joined = try Fixture.open()
        joined.loop.advanceTime(by: .hours(1))
        #expect(joined.server.recorder.errors == [])
        #expect(joined.server.channel.isActive)
    }

    @Test func aPeerThatLeavesDuringTheHandshakeIsNamed() throws {
        let joined = try Fixture.joined()
        _ = try JoinedChannels.move(joined.client.channel, joined.server.channel)
        joined.server.channel.close(promise: nil)
        joined.client.channel.pipeline.fireChannelInactive()
        #expect(joined.client.recorder.errors.map(\.code) == [.closedDuringHandshake])
        #expect(joined.client.recorder.events == [])
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\0\0\0\0\0\0\0\0\0\0"])
    func aServerThatDoesNotSpeakTLSIsNamed(greeting: String) throws {
        let joined = try Fixture.joined()
        joined.client.channel.pipeline.fireChannelRead(ByteBuffer(string: greeting))
        joined.client.channel.pipeline.fireChannelInactive()
        #expect(joined.client.recorder.errors.map(\.code) == [.notTLS])
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}hello", "x"])
    func aClientThatDoesNotSpeakTLSIsSentAway(greeting: String) throws {
        let joined = try Fixture.joined()
        joined.server.channel.pipeline.fireChannelRead(ByteBuffer(string: greeting))
        joined.server.channel.pipeline.fireChannelInactive()
        #expect(joined.server.recorder.errors.count == 1)
        #expect(joined.server.recorder.events == [])
    }

    @Test func whatIsWrittenEarlyIsSentAfterTheHandshake() throws {
        let joined = try Fixture.joined()
        let first = joined.client.promisedWrite(ByteBuffer(string: "first "))
        let second = joined.client.promisedWrite(ByteBuffer(string: "second"))
        try joined.pump()
        #expect(joined.server.recorder.bytes == ByteBuffer(string: "first second"))
        #expect(first.isSuccess && second.isSuccess)
    }

    @Test func earlyWritesAreBounded() throws {
        let joined = try Fixture.joined()
        joined.client.channel.write(Fixture.bytes(TLSDefaults.earlyWriteLimit), promise: nil)
        let tooMuch = joined.client.promisedWrite(ByteBuffer(string: "x"))
        #expect(tooMuch.error == TLSError(.earlyWriteLimit))
    }

    @Test func earlyWritesFailWithTheHandshake() throws {
        let joined = try Fixture.joined(name: "other.test")
        let write = joined.client.promisedWrite(ByteBuffer(string: "x"))
        try joined.pump()
        #expect(write.error == TLSError(.nameMismatch))
    }
}
