// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix
import TLSTransport
import TestSupport
import Testing

@testable import RedisTransport

@Suite struct RedisProbeTests {
    private func probe(_ settings: RedisSettings) async throws -> RedisProbe.Result {
        try await RedisProbe.run(settings, on: MultiThreadedEventLoopGroup.singleton.next()).get()
    }

    private func refusal(_ settings: RedisSettings) async throws -> RedisRefusal? {
        if case .refused(let refusal) = try await probe(settings) { refusal } else { nil }
    }

    private func unreachable(_ settings: RedisSettings) async throws -> RedisError? {
        if case .unreachable(let error) = try await probe(settings) { error } else { nil }
    }

    private func version(_ settings: RedisSettings) async throws -> RedisVersion? {
        if case .connected(let version) = try await probe(settings) { version } else { nil }
    }

    @Test func eachLoginGivesItsVersionOrItsRefusal() async throws {
        let server = try await RedisServer(["--requirepass", "word one"])
        let product = try await version(server.settings(login: ":" + "word%20one" + "@"))?.product
        #expect(["Redis", "Valkey"].contains(product), "whichever is installed as redis-server")
        #expect(try await version(server.settings(login: "default:" + "word%20one" + "@"))?.isSupported == true)
        #expect(try await refusal(server.settings(login: ":" + "wrong" + "@")) == .wrongPassword)
        #expect(try await refusal(server.settings(login: "nobody:" + "word" + "@")) == .wrongPassword)
        #expect(try await refusal(server.settings()) == .passwordMissing)
        #expect(
            try await refusal(server.settings(login: ":" + "word%20one" + "@", database: 99)) == .noSuchDatabase(99))
        try await server.command(
            "ACL", "SETUSER", "relay", "on", ">secret", "~*", "&*", "+@all", "-info", password: "word one")
        #expect(try await refusal(server.settings(login: "relay:" + "secret" + "@")) == .notPermitted("INFO"))
        try await server.command(
            "ACL", "SETUSER", "relay", "resetkeys", "resetchannels", "nocommands", "+info", "+select",
            password: "word one")
        #expect(try await version(server.settings(login: "relay:" + "secret" + "@", database: 3)) != nil)
    }

    @Test func aPasswordForAnOpenRedisIsRefused() async throws {
        let server = try await RedisServer()
        #expect(try await version(server.settings()) != nil)
        #expect(try await refusal(server.settings(login: ":" + "word" + "@")) == .passwordNotExpected)
    }

    @Test func whatIsNotThereIsUnreachable() async throws {
        let reserved = try ReservedPort()
        let port = reserved.number
        let error = try await unreachable(.testing("redis://127.0.0.1:\(port)"))
        #expect(error == RedisError(.unreachable))
        #expect(error?.detail?.lowercased().contains("refused") == true)
        #expect(try await unreachable(.testing("redis://no-such-host.invalid")) == RedisError(.unreachable))
        #expect(try await unreachable(.testing("rediss://127.0.0.1:\(port)")) == RedisError(.unreachable))
    }

    @Test func aFrozenOrForeignServerIsUnreachable() async throws {
        let server = try await RedisServer()
        server.signal(SIGSTOP)
        var settings = try server.settings()
        settings.handshakeTimeout = .milliseconds(200)
        #expect(try await unreachable(settings) == RedisError(.unreachable))
        server.signal(SIGCONT)
        // TLS to a port that has none.
        var secure = try RedisSettings.testing("rediss://127.0.0.1:\(server.port)")
        secure.handshakeTimeout = .milliseconds(200)
        #expect(try await unreachable(secure) == RedisError(.unreachable))
    }

    @Test func tlsNeedsATrustedCertificateForTheHost() async throws {
        let certificates = try TestCertificates(names: ["localhost"])
        let server = try await RedisServer(
            [
                "--tls-cert-file", certificates.server, "--tls-key-file", certificates.serverKey, "--tls-ca-cert-file",
                certificates.ca, "--tls-auth-clients", "no", "--requirepass", "word",
            ], usesTLS: true)
        let login = "rediss://:" + "word"
        let url = try RedisURL(login + "@localhost:\(server.port)")
        #expect(try await version(RedisSettings(url: url, trust: .file(certificates.ca))) != nil)
        let unknown = try await unreachable(RedisSettings(url: url))
        #expect(unknown?.detail?.contains("certificate") == true)
        let byAddress = try RedisURL(login + "@127.0.0.1:\(server.port)")
        let misnamed = try await unreachable(RedisSettings(url: byAddress, trust: .file(certificates.ca)))
        #expect(misnamed?.detail?.contains("127.0.0.1") == true)
        // A client over TLS, through a frozen server and back.
        var settings = try RedisSettings(url: url, trust: .file(certificates.ca))
        settings.backOff = RedisBackOff(first: .milliseconds(5), longest: .milliseconds(40))
        settings.handshakeTimeout = .milliseconds(500)
        let node = Node(settings)
        try await node.connect()
        #expect(try await node.client.reply(to: RedisCommand("ECHO", "over TLS")).text == "over TLS")
        server.signal(SIGSTOP)
        await #expect(throws: RedisError(.deadlineExceeded)) {
            try await node.client.reply(to: RedisCommand("PING"), timeout: .milliseconds(200))
        }
        _ = try await node.disconnected()
        server.signal(SIGCONT)
        try await node.connected()
        try await node.stop()
    }
}
