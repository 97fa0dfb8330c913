// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import RedisTransport

/// Real Sentinels, a real master and its replica.
@Suite("Sentinels", .serialized) struct SentinelTests {
    private func probe(_ settings: RedisSettings) async throws -> RedisProbe.Result {
        try await RedisProbe.run(settings, on: MultiThreadedEventLoopGroup.singleton.next()).get()
    }

    private func settings(_ url: String) throws -> RedisSettings {
        var settings = try RedisSettings.testing(url)
        // Never waited for by accident: what has to be quick hangs with this.
        (settings.sentinelTimeout, settings.sentinelInterval) = (.seconds(60), .milliseconds(100))
        return settings
    }

    private func port(_ node: Node) async throws -> Int? {
        try await node.client.eventLoop.submit { [client = node.client] in client.server?.port }.get()
    }

    private func write(_ node: Node, _ value: String) async -> Bool {
        let reply = try? await node.client.reply(to: RedisCommand("SET", "key", value), timeout: .milliseconds(500))
        return reply == .simple("OK")
    }

    @Test func theClientAndItsSubscriptionFollowTheMaster() async throws {
        let group = try await RedisSentinels(patience: 2_000)
        var settings = try settings(group.url)
        settings.sentinelTimeout = .seconds(1)
        settings.heartbeat.interval = .milliseconds(50)
        settings.heartbeat.retry = .milliseconds(10)
        let node = Node(settings)
        try await node.connect()
        #expect(try await port(node) == group.first.port)
        let (messages, changes) = (Journal<RedisMessage>(), Journal<RedisConnectionState>())
        let subscription = RedisSubscription(
            client: node.client, channel: "own", settings: settings,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            events: .init(changed: { changes.append($0) }, received: { messages.append($0) }, dropped: {}))
        subscription.start()
        _ = try await changes.connected()

        // The master dies.
        try await group.first.kill()
        try await eventually("the replica is written to") { await write(node, "one") }
        #expect(try await port(node) == group.second.port)
        _ = try await changes.connected()
        _ = try await node.client.publish("hello", on: "own").get()
        #expect(try await String(buffer: messages.next("the message").payload) == "hello")

        // It comes back as a replica, and becomes the master again while both live.
        try await group.first.start()
        // What the Sentinels do, too, at a time of their own.
        _ = try await group.first.command("REPLICAOF", "127.0.0.1", "\(group.second.port)")
        try await eventually("it has become a replica") {
            try await group.first.command("GET", "key") == "one"
        }
        try await eventually("the first is written to again", seconds: 60) {
            let isWritten = await write(node, "two")
            let port = try await port(node)
            if isWritten && port == group.first.port { return true }
            // It is asked for again where it came to nothing: a Sentinel that has not heard of it in time puts the old
            // master back.
            let roles = try await (group.first.command("ROLE"), group.second.command("ROLE"))
            if roles.0.hasPrefix("slave") && roles.1.hasPrefix("master") {
                try await group.command(0, "SENTINEL", "FAILOVER", "main")
            }
            return false
        }
        try await eventually("the subscription has followed") {
            try await group.first.command("PUBSUB", "NUMSUB", "own") == "own\n1"
        }
        try await subscription.stop().get()
        try await node.stop()
    }

    @Test func oneDeadSentinelAndOneFrozenOneAreNotWaitedFor() async throws {
        let group = try await RedisSentinels()
        // Two of three have to agree. The address that nothing listens on is a fourth, so three of these four have to.
        let free = try ReservedPort()
        let url = group.url.replacing("/main", with: ",127.0.0.1:\(free.number)/main")
        guard case .connected = try await probe(settings(url)) else { return #expect(Bool(false)) }
        group.signal(SIGSTOP, to: 0)
        guard case .connected = try await probe(settings(group.url)) else { return #expect(Bool(false)) }
        // With two of three away, the third is believed once the others have had their time.
        group.signal(SIGKILL, to: 1)
        var patient = try settings(group.url)
        patient.sentinelTimeout = .milliseconds(300)
        guard case .connected = try await probe(patient) else { return #expect(Bool(false)) }
        group.signal(SIGKILL, to: 2)
        group.signal(SIGKILL, to: 0)
        guard case .unreachable(let error) = try await probe(patient) else { return #expect(Bool(false)) }
        #expect(error.description.contains("no Sentinel answers"))
    }

    @Test func whatIsWrongIsSaid() async throws {
        let password = "watch" + "word"
        let group = try await RedisSentinels(password: password)
        var settings = try settings(group.url)
        guard case .refused(.sentinelPassword) = try await probe(settings) else { return #expect(Bool(false)) }
        settings.sentinelLogin = try RedisLogin("wrong")
        guard case .refused(.sentinelPassword) = try await probe(settings) else { return #expect(Bool(false)) }
        settings.sentinelLogin = try RedisLogin(password)
        guard case .connected = try await probe(settings) else { return #expect(Bool(false)) }
        var misnamed = try self.settings(group.url.replacing("/main", with: "/man"))
        misnamed.sentinelLogin = settings.sentinelLogin
        guard case .refused(.noSuchMaster("man")) = try await probe(misnamed) else { return #expect(Bool(false)) }
        // A Redis in the place of the Sentinels, and a Sentinel in the place of the Redis.
        guard
            case .unreachable(let error) = try await probe(
                self.settings("redis+sentinel://127.0.0.1:\(group.first.port)/main"))
        else { return #expect(Bool(false)) }
        #expect(error.description.contains("no Sentinel"))
        let open = try await RedisSentinels()
        guard case .refused(.isSentinel) = try await probe(self.settings("redis://127.0.0.1:\(open.ports[0])")) else {
            return #expect(Bool(false))
        }
    }

    @Test func sentinelsThatNameAReplicaAreNotBelieved() async throws {
        let master = try await RedisServer()
        let replica = try await RedisServer(["--replicaof", "127.0.0.1", "\(master.port)"])
        let port = "\(replica.port)"
        let liar = try await FakeServer { command in
            command.contains("SENTINEL")
                ? Array("*2\r\n$9\r\n127.0.0.1\r\n$\(port.utf8.count)\r\n\(port)\r\n".utf8) : []
        }
        guard
            case .unreachable(let error) = try await probe(settings("redis+sentinel://127.0.0.1:\(liar.port)/main"))
        else { return #expect(Bool(false)) }
        #expect(error.description.contains("replica"))
        try await liar.stop()
    }
}
