// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Joining the cluster", .serialized)
struct NodeClaimTests {
    @Test("a second live node with the same id is refused, and the first goes on")
    func sameID() async throws {
        let redis = try await RedisServer()
        let first = try RoutedNode("a", redis, port: 1001)
        let second = try RoutedNode("a", redis, port: 1002)
        try await withNodes([first]) {
            await #expect {
                try await second.start()
            } throws: { error in
                guard let error = error as? OperatorError else { return false }
                return error.status == .configuration && error.message.contains("127.0.0.1:1001")
                    && error.message.contains("--node-id")
            }
            first.routing.setReceiving(.test("bob"), sessions: [1])
            try await eventually("the route") { try await redis.keys().contains("{relay}:receiving:bob:a") }
            #expect(first.routing.status.isJoined)
        }
    }

    @Test("an earlier start at the same address is replaced at once; if it lives after all, it gives way")
    func takeOver() async throws {
        let redis = try await RedisServer()
        let old = try RoutedNode("a", redis, port: 1001)
        let new = try RoutedNode("a", redis, port: 1001)
        try await withNodes([old, new]) {
            old.routing.setReceiving(.test("bob"), sessions: [1])
            try await eventually("the loss") { !old.routing.status.isJoined }
            let watcher = try RoutedNode("w", redis, port: 1003)
            try await withNodes([watcher]) { () async throws in
                let address = try await watcher.routing.address(of: .test("a")).get()
                #expect(address?.incarnation == new.parts.incarnation)
                #expect(try await watcher.routing.receivers(of: .test("bob")).get() == [])
            }
            #expect(new.routing.status.isJoined)
            // A leaving rival does not remove the other's presence.
            await old.routing.stop()
            #expect(try await redis.keys().contains("{relay}:node:a"))
        }
    }

    @Test("a presence that another process left behind can be taken once it has expired")
    func expired() async throws {
        let redis = try await RedisServer()
        let old = NodePresence(
            incarnation: .random(), address: ListenAddress(host: "10.0.0.1", port: 1), version: Label(clipping: "1"))
        try await redis.command("SET", "{relay}:node:a", try #require(old.text), "PX", "1500")
        let node = try RoutedNode("a", redis, port: 1001)
        try await withNodes([node]) { #expect(node.routing.status.isJoined) }
    }

    @Test("a forged presence without a life, or of another type, belongs to no node", arguments: ["SET", "LPUSH"])
    func forged(command: String) async throws {
        let redis = try await RedisServer()
        try await redis.command(command, "{relay}:node:a", #"{"incarnation":"x"}"#)
        let node = try RoutedNode("a", redis, port: 1001)
        try await withNodes([node]) { #expect(node.routing.status.isJoined) }
    }

    @Test("the refusal of a wrong password does not repeat it")
    func wrongPassword() async throws {
        let redis = try await RedisServer(["--requirepass", "right"])
        let node = try RoutedNode("a", redis, login: "user:wrong-word@")
        await #expect {
            try await node.start()
        } throws: { error in
            guard let error = error as? OperatorError else { return false }
            return error.status == .configuration && !error.message.contains("wrong-word")
        }
    }

    @Test("without Redis a node starts, answers that the cluster is unavailable, and joins when Redis comes")
    func unreachable() async throws {
        let redis = try await RedisServer(starts: false)
        let node = try RoutedNode("a", redis)
        try await withNodes([node]) {
            #expect(!node.routing.status.isJoined)
            node.routing.setReceiving(.test("bob"), sessions: [1])
            let digest = TokenDigest(Token.random())
            await #expect(throws: ClusterUnavailable.self) {
                try await node.routing.publish(digest, lifetime: .seconds(60)).get()
            }
            await #expect(throws: ClusterUnavailable.self) { try await node.routing.home(of: digest).get() }
            await #expect(throws: ClusterUnavailable.self) {
                try await node.routing.receivers(of: .test("bob")).get()
            }
            await #expect(throws: ClusterUnavailable.self) { try await node.users.user(named: .test("bob")) }
            try await redis.start()
            // The token that could not be told then is told now.
            try await eventually("the token") {
                let home = try? await node.routing.home(of: digest).get()
                return home == node.node
            }
            #expect(try await redis.keys().contains("{relay}:receiving:bob:a"))
        }
    }

    @Test("a frozen Redis counts as unreachable within the deadline, and nothing is repeated once it goes on")
    func frozen() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis)
        try await withNodes([node]) {
            let digest = TokenDigest(Token.random())
            redis.signal(SIGSTOP)
            await #expect(throws: ClusterUnavailable.self) { try await node.routing.home(of: digest).get() }
            await #expect(throws: ClusterUnavailable.self) {
                try await node.routing.publish(digest, lifetime: .seconds(60)).get()
            }
            #expect(!node.routing.status.isConnected)
            node.routing.setReceiving(.test("bob"), sessions: [1])
            node.routing.setReceiving(.test("bob"), sessions: [2])
            redis.signal(SIGCONT)
            try await eventually("the route") {
                try await redis.command("GET", "{relay}:receiving:bob:a").hasSuffix(" 2")
            }
            try await eventually("the token") {
                let home = try? await node.routing.home(of: digest).get()
                return home == node.node
            }
        }
    }

    @Test("a Redis that is killed and comes back without data gets everything again")
    func killed() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        let b = try RoutedNode("b", redis, port: 1002)
        try await withNodes([a, b]) {
            a.routing.setReceiving(.test("bob"), sessions: [1])
            try await eventually("b to know a") { b.routing.status.nodes == 1 }
            let address = try await b.routing.address(of: a.node).get()
            try await redis.kill()
            try await eventually("the loss") { !b.routing.status.isConnected }
            // The last known address still serves.
            #expect(try await b.routing.address(of: a.node).get() == address)
            try await redis.start()
            try await eventually("the receiver") {
                let found = try? await b.routing.receivers(of: .test("bob")).get()
                return found == [SessionID(node: a.node, number: 1)]
            }
            #expect(b.events.isEmpty)
        }
    }
}
