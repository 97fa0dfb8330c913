// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import TestSupport
import Testing

@testable import RedisTransport

@Suite struct RedisClientTests {
    private func bytes(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

    @Test func commandsGetTheirOwnReplies() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings(database: 5))
        #expect(throws: RedisError(.unavailable)) { try node.client.send(RedisCommand("PING")).wait() }
        try await node.connect()
        let replies = (0..<500).map { node.client.send(RedisCommand("ECHO", "\($0)")) }
        for (number, reply) in replies.enumerated() { #expect(try await reply.get().text == "\(number)") }
        #expect(try await node.client.reply(to: RedisCommand("SET", "a", "1")) == .simple("OK"))
        await #expect(throws: RedisError(.replied)) { try await node.client.reply(to: RedisCommand("LPUSH", "a", "1")) }
        // The connection is none the worse for it, and it is in the database that was asked for.
        #expect(try await node.client.reply(to: RedisCommand("INCR", "a")) == .integer(2))
        #expect(try await server.command("-n", "5", "GET", "a") == "2")
        try await node.stop()
        await #expect(throws: RedisError(.unavailable)) { try await node.client.reply(to: RedisCommand("PING")) }
    }

    @Test func aLargeValueComesBackAndALargerOneIsRefused() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings())
        try await node.connect()
        let value = ByteBuffer(bytes: (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        #expect(try await node.client.reply(to: RedisCommand("SET", [bytes("v"), value])) == .simple("OK"))
        #expect(try await node.client.reply(to: RedisCommand("GET", "v")).bytes == value)
        await #expect(throws: RedisError(.tooLarge)) {
            try await node.client.reply(to: RedisCommand("SET", [bytes("v"), value, value]))
        }
        // Larger than a reply may be: the connection ends, and there is another one.
        _ = try await node.client.reply(to: RedisCommand("APPEND", [bytes("v"), value]))
        await #expect(throws: RedisError(.disconnected)) { try await node.client.reply(to: RedisCommand("GET", "v")) }
        #expect(try await node.disconnected() as? RedisError == RedisError(.protocolViolation))
        #expect(try await node.connected() == 2)
        try await node.stop()
    }

    @Test func aScriptIsSentAsAWholeOnlyOnce() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings())
        try await node.connect()
        let script = RedisScript("return {KEYS[1], ARGV[1]}")
        #expect(RedisScript("return 1").digest == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
        let expected = RESPValue.array([.bulk(bytes("k")), .bulk(ByteBuffer(bytes: [0, 255]))])
        for _ in 0..<2 {
            let reply = node.client.run(script, keys: [bytes("k")], arguments: [ByteBuffer(bytes: [0, 255])])
            #expect(try await reply.get() == expected)
        }
        let statistics = try await server.command("INFO", "commandstats")
        #expect(statistics.contains("cmdstat_eval:calls=1,"))
        #expect(statistics.contains("cmdstat_evalsha:calls=2,"))
        let failing = node.client.run(RedisScript("return redis.error_reply('NO way')"), keys: [])
        let error = await #expect(throws: RedisError.self) { try await failing.get() }
        #expect(error?.isReply("NO") == true)
        try await node.stop()
    }

    @Test func aKilledRedisIsFoundAgain() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings())
        try await node.connect()
        try await server.kill()
        #expect(try await node.disconnected() as? RedisError == RedisError(.disconnected))
        await #expect(throws: RedisError(.unavailable)) { try await node.client.reply(to: RedisCommand("PING")) }
        // At least one attempt in vain.
        #expect(try await node.disconnected() as? RedisError == RedisError(.unreachable))
        try await server.start()
        #expect(try await node.connected() == 2)
        #expect(try await node.client.reply(to: RedisCommand("PING")) == .simple("PONG"))
        try await node.stop()
    }

    @Test func aFrozenRedisIsDeadAfterTheDeadline() async throws {
        let server = try await RedisServer()
        var settings = try server.settings()
        settings.handshakeTimeout = .milliseconds(300)
        let node = Node(settings)
        try await node.connect()
        server.signal(SIGSTOP)
        let late = node.client.send(RedisCommand("SET", "a", "1"), timeout: .milliseconds(300))
        let other = node.client.send(RedisCommand("SET", "b", "1"), timeout: .seconds(600))
        await #expect(throws: RedisError(.deadlineExceeded)) { try await late.get() }
        await #expect(throws: RedisError(.disconnected)) { try await other.get() }
        #expect(try await node.disconnected() as? RedisError == RedisError(.deadlineExceeded))
        // The kernel accepts for it; no server answers the login.
        #expect(try await node.disconnected() as? RedisError == RedisError(.unreachable))
        await #expect(throws: RedisError(.unavailable)) { try await node.client.reply(to: RedisCommand("PING")) }
        server.signal(SIGCONT)
        #expect(try await node.connected() == 2)
        #expect(try await node.client.reply(to: RedisCommand("PING")) == .simple("PONG"))
        try await node.stop()
    }

    @Test func theLogTellsOfAnOutageOnceAndHasNoPassword() async throws {
        let lines = Journal<String>()
        let server = try await RedisServer(["--requirepass", "canary"])
        let node = Node(
            try server.settings(login: ":" + "canary" + "@"), log: Logger(label: "test") { _ in LineRecorder(lines) })
        try await node.connect()
        try await server.kill()
        for _ in 0..<4 { _ = try await node.disconnected() }
        try await server.start()
        try await node.connected()
        try await node.stop()
        let seen = lines.all.filter { !$0.hasPrefix("debug") }
        #expect(
            seen.map { $0.prefix { $0 != "[" } } == [
                "notice redis is reachable ", "warning redis is not reachable; trying again ",
                "notice redis is reachable ",
            ])
        #expect(lines.all.count > seen.count)
        #expect(lines.all.allSatisfy { !$0.contains("canary") && $0.contains("127.0.0.1:\(server.port)") })
    }

    @Test func aConnectionToAReplicaIsClosed() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings())
        try await node.connect()
        try await server.command("REPLICAOF", "127.0.0.1", "1")
        let error = await #expect(throws: RedisError.self) {
            try await node.client.reply(to: RedisCommand("SET", "a", "1"))
        }
        #expect(error?.isReply("READONLY") == true)
        #expect(try await node.disconnected() as? RedisError == RedisError(.replied))
        try await node.stop()
    }

    @Test(
        arguments: [
            "+OK\r\n+OK\r\n", "garbage\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            "*2147483647\r\n",
            "$9223372036854775807\r\n", "$3\r\nabcde\r\n", ">2\r\n+a\r\n+b\r\n",
        ]) func garbageEndsTheConnectionOnly(_ garbage: String) async throws
    {
        let server = try await FakeServer { $0.contains("GOOD") ? Array("+fine\r\n".utf8) : Array(garbage.utf8) }
        let node = Node(try .testing("redis://127.0.0.1:\(server.port)"))
        try await node.connect()
        for generation in 2...4 {
            #expect(try await node.client.reply(to: RedisCommand("GOOD")) == .simple("fine"))
            _ = try? await node.client.reply(to: RedisCommand("BAD"))
            #expect(try await node.disconnected() as? RedisError == RedisError(.protocolViolation))
            #expect(try await node.connected() == generation)
        }
        try await node.stop()
        try await server.stop()
    }

    @Test func aClientThatIsStoppedWhileItTriesEnds() async throws {
        let port = try ReservedPort()
        let node = Node(try .testing("redis://127.0.0.1:\(port.number)"))
        try await node.stop()
        node.client.start()
        #expect(try await node.disconnected() as? RedisError == RedisError(.unreachable))
        try await node.stop()
        try await node.stop()
    }
}
