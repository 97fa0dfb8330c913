// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import RedisTransport

/// A real Redis Cluster.
@Suite("A Redis Cluster", .serialized) struct RedisClusterTests {
    private let key = "{relay}:epoch"

    private func settings(_ servers: [RedisServer], timeout: TimeAmount = .seconds(10)) throws -> RedisSettings {
        var settings = try RedisSettings.testing(
            "redis://" + servers.map { "127.0.0.1:\($0.port)" }.joined(separator: ","))
        settings.key = key
        settings.heartbeat.interval = .milliseconds(50)
        settings.heartbeat.retry = .milliseconds(10)
        return settings
    }

    private func port(_ node: Node) async throws -> Int? {
        try await node.client.eventLoop.submit { [client = node.client] in client.server?.port }.get()
    }

    private func listen(
        _ node: Node, _ settings: RedisSettings, _ messages: Journal<RedisMessage>,
        _ changes: Journal<RedisConnectionState>
    ) -> RedisSubscription {
        let subscription = RedisSubscription(
            client: node.client, channel: "{relay}:bell:a", settings: settings,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            events: .init(changed: { changes.append($0) }, received: { messages.append($0) }, dropped: {}))
        subscription.start()
        return subscription
    }

    @Test func whicheverNodeIsNamedTheSlotIsFound() async throws {
        let group = try await RedisClusterServers()
        let owner = try await group.owner(of: key)
        for seed in group.servers {
            let settings = try settings([seed])
            let node = Node(settings)
            try await node.connect()
            #expect(try await port(node) == owner.port)
            #expect(try await node.client.reply(to: RedisCommand("SET", key, "x")) == .simple("OK"))
            let (messages, changes) = (Journal<RedisMessage>(), Journal<RedisConnectionState>())
            let subscription = listen(node, settings, messages, changes)
            _ = try await changes.connected()
            _ = try await node.client.publish("hello", on: "{relay}:bell:a").get()
            #expect(try await String(buffer: messages.next("the message").payload) == "hello")
            #expect(try await owner.command("PUBSUB", "SHARDCHANNELS") == "{relay}:bell:a")
            try await subscription.stop().get()
            try await node.stop()
        }
    }

    /// A script that looks at two keys, one of which it does not name: it must not find one of them without the other.
    private static let both = RedisScript(
        """
        local other = redis.call('GET', '{relay}:other')
        return (other or 'lost') .. (redis.call('GET', KEYS[1]) or 'lost')
        """)

    @Test func aSlotThatMovesLosesNothing() async throws {
        let group = try await RedisClusterServers()
        let source = try await group.owner(of: key)
        let target = try #require(group.servers.first { $0.port != source.port })
        let settings = try settings([target])
        let node = Node(settings)
        try await node.connect()
        _ = try await node.client.reply(to: RedisCommand("SET", key, "a"))
        _ = try await node.client.reply(to: RedisCommand("SET", "{relay}:other", "b"))
        let (messages, changes) = (Journal<RedisMessage>(), Journal<RedisConnectionState>())
        let subscription = listen(node, settings, messages, changes)
        _ = try await changes.connected()

        let found = Mutex<[String: Int]>([:])
        let keys = [ByteBuffer(string: key)]
        @Sendable func look(_ timeout: TimeAmount) async {
            let reply = try? await node.client.run(Self.both, keys: keys, timeout: timeout).get()
            found.withLock { $0[reply?.text ?? "refused", default: 0] += 1 }
        }
        await look(.seconds(10))
        try await group.beginMoving(key, from: source, to: target)
        // All there.
        await look(.seconds(10))
        // One here, one there: that is never an answer, however long it lasts.
        try await group.move("{relay}:other", from: source, to: target)
        await look(.milliseconds(200))
        #expect(found.withLock { $0 } == ["ba": 2, "refused": 1])
        try await group.move(key, from: source, to: target)
        await look(.milliseconds(200))
        #expect(found.withLock { $0 } == ["ba": 2, "refused": 2])
        // What waits is answered once the slot is there.
        async let waiting: Void = look(.seconds(20))
        try await group.endMoving(key, from: source, to: target)
        await waiting
        #expect(found.withLock { $0 } == ["ba": 3, "refused": 2])
        #expect(try await port(node) == target.port)
        #expect(node.client.figures.redirections > 0)
        // And so are messages.
        try await eventually("the subscription has followed") {
            try await target.command("PUBSUB", "SHARDCHANNELS") == "{relay}:bell:a"
        }
        _ = try await changes.connected()
        _ = try await node.client.publish("hello", on: "{relay}:bell:a").get()
        #expect(try await String(buffer: messages.next("the message").payload) == "hello")
        try await subscription.stop().get()
        try await node.stop()
    }

    @Test func aReplicaTakesTheSlotOver() async throws {
        let group = try await RedisClusterServers(replicas: 1)
        let owner = try await group.owner(of: key)
        var settings = try settings([owner])
        settings.connectTimeout = .seconds(1)
        let node = Node(settings)
        try await node.connect()
        #expect(try await port(node) == owner.port)
        // The only one that the URL names.
        try await owner.kill()
        try await eventually("the replica is written to") {
            let reply = try? await node.client.reply(to: RedisCommand("SET", key, "x"), timeout: .milliseconds(500))
            return reply == .simple("OK")
        }
        let replica = try #require(try await port(node))
        #expect(replica != owner.port && group.servers.contains { $0.port == replica })
        try await node.stop()
    }

    @Test func serversThatSendThisOneAroundAreGivenUp() async throws {
        let other = Mutex(0)
        func moved(_ port: @escaping @Sendable () -> Int) -> @Sendable (String) -> [UInt8] {
            { _ in Array("-MOVED 1341 127.0.0.1:\(port())\r\n".utf8) }
        }
        let first = try await FakeServer(mode: "cluster", moved { other.withLock { $0 } })
        let port = first.port
        let second = try await FakeServer(mode: "cluster", moved { port })
        other.withLock { $0 = second.port }
        var settings = try RedisSettings.testing("redis://127.0.0.1:\(port)")
        settings.key = key
        let result = try await RedisProbe.run(settings, on: MultiThreadedEventLoopGroup.singleton.next()).get()
        guard case .unreachable(let error) = result else { return #expect(Bool(false)) }
        #expect(error.description.contains("from one to the other"))
        try await first.stop()
        try await second.stop()
    }

    @Test func severalServersThatAreNoClusterAreRefused() async throws {
        let (one, two) = (try await RedisServer(), try await RedisServer())
        let result = try await RedisProbe.run(
            settings([one, two]), on: MultiThreadedEventLoopGroup.singleton.next()
        ).get()
        guard case .refused(.severalServers) = result else { return #expect(Bool(false)) }
    }
}
