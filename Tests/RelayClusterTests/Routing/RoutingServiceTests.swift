// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import RelayNode
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Routing with a real Redis", .serialized)
struct RoutingServiceTests {
    private let bob = PeerName.test("bob")

    @Test("a receiver and a waiting offer find each other, whichever comes first, without any timer")
    func meeting() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let b = try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        try await withNodes([a, b]) {
            a.routing.setWaiting(bob, true)
            try await eventually("the route") { try await redis.keys().contains("{relay}:waiting:bob:a") }
            b.routing.setReceiving(bob, sessions: [7, 9])
            let sessions = [7, 9].map { SessionID(node: b.node, number: $0) }
            try await a.told(.receivers(bob, sessions))
            #expect(try await a.routing.receivers(of: bob).get() == sessions)
            // A node's own sessions are not other nodes'.
            #expect(try await b.routing.receivers(of: bob).get() == [])

            let carol = PeerName.test("carol")
            b.routing.setReceiving(carol, sessions: [8])
            try await eventually("the route") { try await redis.keys().contains("{relay}:receiving:carol:b") }
            a.routing.setWaiting(carol, true)
            try await a.told(.receivers(carol, [SessionID(node: b.node, number: 8)]))
            // Everything that was withdrawn is gone at once.
            b.routing.setReceiving(carol, sessions: [])
            a.routing.setWaiting(carol, false)
            try await eventually("the withdrawal") { try await !redis.keys().contains { $0.contains("carol") } }
            try await eventually("answers") { b.routing.status.doorbell.waiting == 0 }
            #expect(b.routing.status.doorbell.lost == 0)
        }
    }

    @Test("sharers are found on other nodes, and withdrawn")
    func sharing() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let b = try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        try await withNodes([a, b]) {
            #expect(try await a.routing.sharers(of: bob).get() == [])
            b.routing.setSharing(bob, true)
            try await eventually("the route") { try await redis.keys().contains("{relay}:sharing:bob:b") }
            #expect(try await a.routing.sharers(of: bob).get() == [b.node])
            // A node knows its own, and a session is not rung for sharing.
            #expect(try await b.routing.sharers(of: bob).get() == [])
            #expect(try await a.routing.receivers(of: bob).get() == [])
            // What another start of the node has left, or what is no incarnation, is none.
            for value in [Incarnation.random().rawValue, "nonsense"] {
                try await redis.command("SET", "{relay}:sharing:carol:b", value)
                #expect(try await a.routing.sharers(of: .test("carol")).get() == [])
            }
            #expect(a.routing.status.ignored == 1)
            b.routing.setSharing(bob, false)
            try await eventually("the withdrawal") { try await !redis.keys().contains("{relay}:sharing:bob:b") }
            #expect(try await a.routing.sharers(of: bob).get() == [])
        }
    }

    @Test("every key but the users' has a life, and no secret is in any")
    func lives() async throws {
        let redis = try await RedisServer()
        let directory = try TemporaryDirectory()
        let secret = try secretFile(directory)
        let node = try RoutedNode("a", redis, registration: .invite, secret: secret)
        try await withNodes([node]) {
            let token = Token.random()
            node.routing.setReceiving(bob, sessions: [1])
            node.routing.setSharing(bob, true)
            node.routing.setWaiting(bob, true)
            node.routing.addHome(.random())
            try await node.routing.publish(TokenDigest(token), lifetime: .seconds(60)).get()
            let invitation = try await node.users.invite(nil, lifetime: 3600)
            let second = try await node.users.invite(bob, lifetime: 3600)
            let outcome = try await node.users.register(
                User(name: bob, key: .random()), invitation: invitation.code)
            #expect(outcome == .registered)
            try await eventually("all keys") { try await redis.keys().count == 14 }
            let forever: Set = [
                "{relay}:user:bob", "{relay}:account:bob", "{relay}:users", "{relay}:invitations",
            ]
            for key in try await redis.keys().subtracting(forever) {
                let life = try await Int(redis.command("PTTL", key)) ?? -1
                #expect(life > 0, "\(key)")
            }
            let contents = try await redis.contents()
            #expect(contents.contains(TokenDigest(token).bytes.withUnsafeBytes { Base64URL.encode($0) }))
            for text in [token.rawValue, invitation.code.rawValue, second.code.rawValue] {
                #expect(!contents.contains(text))
            }
            let secretText = try String(contentsOfFile: secret, encoding: .utf8).prefix(64)
            #expect(!contents.contains(secretText))
        }
        let left = try await redis.keys()
        #expect(
            left.isSubset(of: [
                "{relay}:user:bob", "{relay}:account:bob", "{relay}:users", "{relay}:invitations", "{relay}:epoch",
                "{relay}:tickets",
                left.first { $0.hasPrefix("{relay}:invitation:") } ?? "",
            ]), "what a node leaves behind: \(left)")
    }

    @Test("an emptied Redis is filled again, users included, and tokens on their way stay good")
    func emptied() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            let digest = TokenDigest(Token.random())
            let key = SigningKey.random()
            a.routing.setReceiving(bob, sessions: [1, 2])
            a.routing.setWaiting(bob, true)
            a.routing.addHome(.random())
            try await a.routing.publish(digest, lifetime: .seconds(60)).get()
            _ = try await b.users.register(User(name: bob, key: key), invitation: nil)
            try await eventually("all keys") { try await redis.keys().count == 12 }
            let before = try await redis.keys()
            for _ in 0..<3 {
                try await redis.command("FLUSHALL")
                // Never "no node knows it": either the answer, or that the cluster is unavailable now.
                #expect(try await b.routing.home(of: digest).get() == a.node)
                try await eventually("all keys") { try await redis.keys() == before }
            }
            try await eventually("bob") { (try? await a.users.user(named: bob))?.key == key }
        }
    }

    @Test("right after Redis was emptied no name is free and no user is unknown")
    func settling() async throws {
        let redis = try await RedisServer()
        // Long enough that nothing is written again by itself.
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            let user = User.test("bob")
            _ = try await node.users.register(user, invitation: nil)
            try await redis.command("FLUSHALL")
            #expect(try await node.users.user(named: user.name) == user)
            await #expect(throws: ClusterUnavailable.settling) {
                try await node.users.user(named: .test("carol"))
            }
            await #expect(throws: ClusterUnavailable.settling) {
                try await node.users.register(
                    User(name: user.name, key: .random()), invitation: nil)
            }
        }
    }

    @Test("a restored dump with stale routes changes nothing")
    func stale() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            let digest = TokenDigest(Token.random())
            let other = Incarnation.random().rawValue
            // An earlier start of a live node, a node that is dead, and nonsense.
            try await redis.command("SET", "{relay}:receiving:bob:b", "\(other) 5")
            try await redis.command("SADD", "{relay}:nodes", "dead", "not a node", String(repeating: "x", count: 5000))
            try await redis.command("SET", "{relay}:receiving:bob:dead", "\(other) 6")
            try await redis.command("SET", ClusterKeys.token(digest), "b \(other)")
            #expect(try await a.routing.receivers(of: bob).get() == [])
            #expect(try await a.routing.home(of: digest).get() == nil)
            try await redis.command("SET", ClusterKeys.token(digest), "dead \(other)")
            #expect(try await a.routing.home(of: digest).get() == nil)
            #expect(try await a.routing.address(of: .test("dead")).get() == nil)
            let address = try await a.routing.address(of: b.node).get()
            #expect(address == NodeAddress(host: "127.0.0.1", port: 1002, incarnation: b.parts.incarnation))
            for value in ["", "b", "\(other)", "b \(other) x", String(repeating: "b", count: 100_000)] {
                try await redis.command("SET", ClusterKeys.token(digest), value)
                #expect(try await a.routing.home(of: digest).get() == nil)
            }
            try await redis.command("SET", "{relay}:node:evil", #"{"incarnation":1}"#)
            try await redis.command("SADD", "{relay}:nodes", "evil")
            try await redis.command("SET", "{relay}:receiving:bob:b", "nonsense")
            try await redis.command("DEL", "{relay}:user:bob")
            try await redis.command("LPUSH", "{relay}:user:bob", "x")
            #expect(try await a.routing.receivers(of: bob).get() == [])
            #expect(a.routing.status.ignored > 0)
            // The dead are taken out of the set, and the living stay.
            let nodes = try await redis.members(of: "{relay}:nodes")
            #expect(nodes.isSuperset(of: ["a", "b"]) && !nodes.contains("dead"))
        }
    }

    @Test("an emptied Redis that gets back an old epoch and an old route still ends with the truth")
    func putBack() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            b.routing.setReceiving(bob, sessions: [1])
            try await eventually("b's sessions") { try await a.routing.receivers(of: bob).get().count == 1 }
            try await redis.command("SET", "{relay}:epoch", Epoch.random().rawValue)
            try await redis.command("SET", "{relay}:receiving:bob:b", "\(Incarnation.random().rawValue) 1,2,3")
            try await eventually("the new epoch") {
                let now = try await redis.command("GET", "{relay}:epoch")
                return a.routing.epoch.known?.rawValue == now && b.routing.epoch.known?.rawValue == now
            }
            try await eventually("b's sessions") {
                try await a.routing.receivers(of: bob).get() == [SessionID(node: b.node, number: 1)]
            }
        }
    }

    @Test("a node that leaves, or has lost its presence to another process, is reported at once")
    func leaving() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let b = try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        try await withNodes([a, b]) {
            try await eventually("b") { a.routing.status.nodes == 1 }
            let digest = TokenDigest(Token.random())
            try await b.routing.publish(digest, lifetime: .seconds(60)).get()
            b.routing.setReceiving(bob, sessions: [1])
            #expect(try await a.routing.home(of: digest).get() == b.node)
            await b.routing.stop()
            try await a.told(.gone(b.node, b.parts.incarnation))
            #expect(try await a.routing.home(of: digest).get() == nil)
            #expect(try await !redis.keys().contains { $0.contains(":b") })
        }
    }

    @Test("what is lost with a killed subscription is made up for soon")
    func killedSubscriptions() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            for round in 0..<5 {
                let name = PeerName.test("name\(round)")
                try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                a.routing.setWaiting(name, true)
                try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                b.routing.setReceiving(name, sessions: [UInt64(round)])
                try await redis.command("CLIENT", "KILL", "TYPE", "normal")
                try await a.told(.receivers(name, [SessionID(node: b.node, number: UInt64(round))]))
            }
            try await eventually("the subscription") { a.routing.status.doorbell.isListening }
        }
    }

    @Test("forged, damaged and repeated notifications cost a lookup and nothing else")
    func forgedBells() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let user = User.test("bob")
        try await withNodes([a]) {
            try await eventually("the subscription") { a.routing.status.doorbell.isListening }
            _ = try await a.users.register(user, invitation: nil)
            a.routing.setReceiving(bob, sessions: [1])
            try await eventually("the route") { try await redis.keys().contains("{relay}:receiving:bob:a") }
            let epoch = a.routing.epoch.known
            for kind in ["announce", "nodes", "tickets", #"user","name":"bob"#, #"receiving","name":"bob"#] {
                for from in ["a", "b"] {
                    try await redis.command(
                        "PUBLISH", "{relay}:bell:a", #"{"v":1,"id":"x","from":"\#(from)","bell":"\#(kind)"}"#)
                }
            }
            try await redis.command("PUBLISH", "{relay}:bell:a", "nonsense")
            try await redis.command("PUBLISH", "{relay}:bell:a", String(repeating: "x", count: 100_000))
            try await eventually("the nonsense") { a.routing.status.doorbell.ignored >= 2 }
            #expect(a.routing.epoch.known == epoch)
            #expect(try await a.users.user(named: user.name) == user)
            #expect(a.events.isEmpty)
        }
    }
}
