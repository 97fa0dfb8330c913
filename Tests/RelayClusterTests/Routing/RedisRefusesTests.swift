// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("A Redis that answers and refuses", .serialized)
struct RedisRefusesTests {
    private static let brief = RoutingTiming(
        renewal: .milliseconds(100), life: .seconds(2), claim: .seconds(10), claimLookup: .milliseconds(50),
        ticketLookup: .seconds(600))

    @Test(
        "a Redis user without permissions is refused with a reason", arguments: ["-evalsha", "-set", "resetchannels"])
    func forbidden(rule: String) async throws {
        let redis = try await RedisServer()
        try await redis.command("ACL", "SETUSER", "u", "on", ">word", "~*", "&*", "+@all", rule)
        let node = try RoutedNode("a", redis, login: "u:word@")
        await #expect {
            try await node.start()
        } throws: { error in
            guard let error = error as? OperatorError else { return false }
            return error.status == .configuration && error.message.contains("{relay}:*")
                && !error.message.contains("word")
        }
    }

    @Test("a Redis without memory takes no presence, and one with memory again does")
    func outOfMemory() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: Self.brief)
        try await withNodes([node]) {
            #expect(node.routing.status.isJoined)
            try await redis.command("CONFIG", "SET", "maxmemory", "1")
            try await eventually("the loss") { !node.routing.status.isJoined }
            #expect(node.routing.status.isConnected)
            try await redis.command("CONFIG", "SET", "maxmemory", "0")
            try await eventually("the place") { node.routing.status.isJoined }
        }
    }

    @Test("a Redis that takes no writes fails a request whether or not the name shares")
    func readOnly() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let b = try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        try await withNodes([a, b]) {
            b.routing.setSharing(.test("bob"), true)
            try await eventually("the route") { try await redis.keys().contains("{relay}:sharing:bob:b") }
            func fails(_ name: String) async -> Bool {
                do {
                    _ = try await a.routing.sharers(of: .test(name)).get()
                    return false
                } catch { return error is ClusterUnavailable }
            }
            for name in ["bob", "nobody"] { #expect(await !fails(name)) }
            try await redis.command("CONFIG", "SET", "maxmemory", "1")
            for name in ["bob", "nobody"] { #expect(await fails(name), "\(name)") }
            try await redis.command("CONFIG", "SET", "maxmemory", "0")
            for name in ["bob", "nobody"] { #expect(await !fails(name)) }
        }
    }

    @Test("nothing is announced while notifications cannot be heard")
    func deaf() async throws {
        let redis = try await RedisServer()
        try await redis.command("ACL", "SETUSER", "u", "on", ">word", "~*", "&*", "+@all")
        let node = try RoutedNode("a", redis, login: "u:word@", timing: Self.brief)
        try await withNodes([node]) {
            try await redis.command("ACL", "SETUSER", "u", "resetchannels")
            try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            try await eventually("deafness") { !node.routing.status.doorbell.isListening }
            try await redis.command("CLIENT", "KILL", "TYPE", "normal")
            try await eventually("the connection") {
                let status = node.routing.status
                return status.isConnected && !status.isJoined
            }
            // Whom it found could not find its tokens.
            await #expect(throws: ClusterUnavailable.self) {
                try await node.routing.receivers(of: .test("bob")).get()
            }
            try await eventually("the end of its place") { try await !redis.keys().contains("{relay}:node:a") }
            try await redis.command("ACL", "SETUSER", "u", "allchannels")
            try await eventually("the place") { node.routing.status.isJoined }
        }
    }

    @Test("a set of nodes or an epoch of another form is made anew")
    func otherTypes() async throws {
        let redis = try await RedisServer()
        for key in ["{relay}:nodes", "{relay}:epoch"] { try await redis.command("SET", key, "!!!!!!!!!!!!!!!!!!!!!!") }
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            try await eventually("acquaintance") { a.routing.status.nodes == 1 && b.routing.status.nodes == 1 }
            try await redis.command("SET", "{relay}:nodes", "x")
            try await redis.command("SET", "{relay}:epoch", "AAAAAAAAAAAAAAAAAAAA!A")
            try await eventually("the set") { try await redis.members(of: "{relay}:nodes") == ["a", "b"] }
            try await eventually("the epoch") {
                let epoch = try await redis.command("GET", "{relay}:epoch")
                return a.routing.epoch.known?.rawValue == epoch && b.routing.epoch.known?.rawValue == epoch
            }
            #expect(a.routing.status.isJoined && b.routing.status.isJoined)
        }
    }

    @Test("a registry of another type is left alone and reported, and routes go on")
    func otherRegistry() async throws {
        let redis = try await RedisServer()
        try await redis.command("SET", "{relay}:users", "x")
        let node = try RoutedNode("a", redis, local: [.test("bob")])
        try await withNodes([node]) {
            await #expect {
                try await node.users.remove(.test("bob"))
            } throws: { error in
                guard let error = error as? OperatorError else { return false }
                return error.status == .refused && error.message.contains("{relay}:users")
            }
            node.routing.setReceiving(.test("bob"), sessions: [1])
            try await eventually("the route") { try await redis.keys().contains("{relay}:receiving:bob:a") }
            #expect(try await redis.command("GET", "{relay}:users") == "x")
        }
    }

    @Test("a presence without a life belongs to no node")
    func immortal() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis)
        let evil = NodePresence(
            incarnation: .random(), address: ListenAddress(host: "10.0.0.1", port: 1), version: Label(clipping: "1"))
        try await withNodes([node]) {
            let digest = TokenDigest(Token.random())
            let home = RouteValue.Home(node: .test("evil"), incarnation: evil.incarnation)
            let name = PeerName.test("bob")
            func forge(_ life: String...) async throws {
                try await redis.command("SET", "{relay}:node:evil", try #require(evil.text))
                if life.first != nil { try await redis.command("PEXPIRE", "{relay}:node:evil", "600000") }
                try await redis.command("SADD", "{relay}:nodes", "evil")
                try await redis.command("SET", ClusterKeys.token(digest), home.text)
                try await redis.command(
                    "SET", "{relay}:receiving:bob:evil",
                    RouteValue.Receiving(incarnation: evil.incarnation, sessions: [1]).text)
            }
            try await forge()
            #expect(try await node.routing.address(of: .test("evil")).get() == nil)
            #expect(try await node.routing.home(of: digest).get() == nil)
            #expect(try await node.routing.receivers(of: name).get() == [])
            try await forge("with a life")
            #expect(try await node.routing.address(of: .test("evil")).get() != nil)
            #expect(try await node.routing.home(of: digest).get() == .test("evil"))
            #expect(try await node.routing.receivers(of: name).get().count == 1)
        }
    }

    @Test("notifications on their way leave room for commands")
    func flood() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            let (loop, store) = (node.routing.loop, node.routing.store)
            // In one turn of the loop, so that no reply can come in between.
            let home = try await loop.flatSubmit {
                for _ in 0..<5000 {
                    store.publish("x", on: ClusterKeys.channel(.test("b")), limit: Defaults.Routing.answersInFlight)
                }
                return node.routing.home(of: TokenDigest(Token.random()))
            }.get()
            #expect(home == nil)
        }
    }

    @Test("a lookup of any size fits into a reply")
    func tooMuch() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            try await redis.command(
                "EVAL",
                """
                local padding = string.rep('x', 2000)
                for i = 1, 1000 do
                    redis.call('SADD', '{relay}:nodes', 'n' .. i)
                    redis.call('SET', '{relay}:node:n' .. i, padding, 'PX', 600000)
                    for j = 1, 10 do redis.call('SET', '{relay}:receiving:name' .. j .. ':n' .. i, padding) end
                end
                """, "0")
            let names = (1...10).map { PeerName.test("name\($0)") }
            let found = try await node.routing.requests.routes(of: names, at: ClusterKeys.receivingPrefix).get()
            #expect(found.routes.count > 500)
            #expect(node.routing.status.isConnected)
        }
    }
}
