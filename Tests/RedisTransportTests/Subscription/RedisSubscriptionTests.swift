// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import TestSupport
import Testing

@testable import RedisTransport

@Suite struct RedisSubscriptionTests {
    /// A subscription to `own`, and what it was told.
    private final class Listener: Sendable {
        let subscription: RedisSubscription
        let changes = Journal<RedisConnectionState>()
        let messages = Journal<RedisMessage>()
        let dropped = Journal<Bool>()

        init(_ node: Node, _ settings: RedisSettings) {
            let (changes, messages, dropped) = (changes, messages, dropped)
            subscription = RedisSubscription(
                client: node.client, channel: "own", settings: settings,
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                events: .init(
                    changed: { changes.append($0) }, received: { messages.append($0) },
                    dropped: { dropped.append(true) }))
        }

        /// The next message of this text.
        func heard(_ text: String) async throws -> RedisMessage {
            try await messages.next(text) { String(buffer: $0.payload) == text }
        }
    }

    private func times(_ interval: TimeAmount, _ timeout: TimeAmount) -> HeartbeatTiming {
        var times = HeartbeatTiming()
        (times.interval, times.timeout, times.retry) = (interval, timeout, .milliseconds(10))
        return times
    }

    @Test func messagesComeAfterTheConfirmation() async throws {
        let server = try await RedisServer()
        let settings = try server.settings()
        let node = Node(settings)
        try await node.connect()
        let listener = Listener(node, settings)
        listener.subscription.start()
        #expect(try await listener.changes.connected() == 1)
        #expect(try await node.client.reply(to: RedisCommand("PUBLISH", "own", "one")) == .integer(1))
        #expect(try await listener.heard("one").channel == "own")
        let largest = ByteBuffer(repeating: 0x61, count: RedisDefaults.messageLength)
        let larger = ByteBuffer(repeating: 0x61, count: RedisDefaults.messageLength + 1)
        for payload in [larger, largest] {
            _ = try await node.client.reply(to: RedisCommand("PUBLISH", [ByteBuffer(string: "own"), payload]))
        }
        #expect(try await listener.messages.next().payload.readableBytes == RedisDefaults.messageLength)
        #expect(try await listener.dropped.next())
        try await listener.subscription.stop().get()
        #expect(try await node.client.reply(to: RedisCommand("PUBLISH", "own", "late")) == .integer(0))
        try await node.stop()
    }

    @Test func aStormOfKillsLosesNoSubscription() async throws {
        let server = try await RedisServer()
        var settings = try server.settings()
        settings.heartbeat = times(.milliseconds(20), .seconds(10))
        let node = Node(settings)
        try await node.connect()
        let listener = Listener(node, settings)
        listener.subscription.start()
        var generation = try await listener.changes.connected()
        for round in 0..<15 {
            #expect(try await node.client.reply(to: RedisCommand("CLIENT", "KILL", "TYPE", "pubsub")) == .integer(1))
            _ = try await listener.changes.disconnected()
            let next = try await listener.changes.connected()
            #expect(next > generation)
            generation = next
            #expect(try await node.client.reply(to: RedisCommand("PUBLISH", "own", "\(round)")) == .integer(1))
            _ = try await listener.heard("\(round)")
        }
        try await listener.subscription.stop().get()
        try await node.stop()
    }

    @Test func aRestartedRedisIsSubscribedAgain() async throws {
        let server = try await RedisServer()
        var settings = try server.settings()
        settings.heartbeat = times(.milliseconds(20), .seconds(10))
        let node = Node(settings)
        try await node.connect()
        let listener = Listener(node, settings)
        listener.subscription.start()
        #expect(try await listener.changes.connected() == 1)
        try await server.kill()
        _ = try await listener.changes.disconnected()
        try await server.start()
        #expect(try await listener.changes.connected() == 2)
        try await node.connected()
        #expect(try await node.client.reply(to: RedisCommand("PUBLISH", "own", "again")) == .integer(1))
        _ = try await listener.heard("again")
        try await listener.subscription.stop().get()
        try await node.stop()
    }

    /// The subscription's connection stands, and nothing comes on it.
    @Test func aSilentSubscriptionIsDroppedAndMadeAgain() async throws {
        let server = try await RedisServer()
        let node = Node(try server.settings())
        try await node.connect()
        let deaf = try await FakeServer { command in
            guard command.contains("SUBSCRIBE") else { return [] }
            return Array("*3\r\n$9\r\nsubscribe\r\n$3\r\nown\r\n:1\r\n".utf8)
        }
        var settings = try RedisSettings.testing("redis://127.0.0.1:\(deaf.port)")
        settings.heartbeat = times(.milliseconds(20), .milliseconds(100))
        let listener = Listener(node, settings)
        listener.subscription.start()
        for generation in 1...3 {
            #expect(try await listener.changes.connected() == generation)
            #expect(try await listener.changes.disconnected() as? RedisError == RedisError(.silent))
        }
        try await listener.subscription.stop().get()
        try await node.stop()
        try await deaf.stop()
    }

    /// It is dropped as well when nothing can be published.
    @Test func aFrozenRedisIsNoticedByTheHeartbeat() async throws {
        let server = try await RedisServer()
        var settings = try server.settings()
        settings.heartbeat = times(.milliseconds(20), .milliseconds(400))
        settings.handshakeTimeout = .milliseconds(300)
        let node = Node(settings)
        try await node.connect()
        let listener = Listener(node, settings)
        listener.subscription.start()
        #expect(try await listener.changes.connected() == 1)
        server.signal(SIGSTOP)
        #expect(try await listener.changes.disconnected() as? RedisError == RedisError(.silent))
        server.signal(SIGCONT)
        #expect(try await listener.changes.connected() == 2)
        try await listener.subscription.stop().get()
        try await node.stop()
    }

    @Test(
        arguments: [
            "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", "*1\r\n$7\r\nmessage\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n",
            "+OK\r\n",
            "-ERR no\r\n", "*2147483647\r\n", ">3\r\n+a\r\n+b\r\n+c\r\n", "garbage\r\n", "",
        ]) func malformedRepliesEndTheConnectionOnly(_ reply: String) async throws
    {
        let server = try await FakeServer { $0.contains("SUBSCRIBE") ? Array(reply.utf8) : [] }
        var settings = try RedisSettings.testing("redis://127.0.0.1:\(server.port)")
        settings.subscribeTimeout = .milliseconds(reply.isEmpty ? 50 : 10_000)
        let node = Node(settings)
        try await node.connect()
        let listener = Listener(node, settings)
        listener.subscription.start()
        for _ in 0..<3 {
            let error = try await listener.changes.disconnected() as? RedisError
            #expect(
                error?.code == (reply.isEmpty ? .deadlineExceeded : reply.first == "-" ? .replied : .protocolViolation))
        }
        try await listener.subscription.stop().get()
        try await node.stop()
        try await server.stop()
    }
}
