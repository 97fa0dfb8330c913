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

@Suite("Nodes with one id, and nodes that make the epoch", .serialized)
struct SharedPlaceTests {
    @Test("with a copied configuration behind a wildcard the second node is refused, and the first goes on")
    func copied() async throws {
        let redis = try await RedisServer()
        let first = try RoutedNode("a", redis, port: 1001)
        // It tries ten times as long as the first takes to renew: a slow machine must not make that one look dead.
        var patient = RoutedNode.quick
        patient.renewal = .seconds(2)
        let second = try RoutedNode("a", redis, port: 1001, timing: patient)
        try await withNodes([first]) {
            await #expect {
                try await second.start(ownsAddress: false)
            } throws: { error in
                (error as? OperatorError)?.status == .configuration
            }
            #expect(first.routing.status.isJoined)
        }
    }

    @Test("a node that was killed comes back behind a wildcard long before its presence has expired")
    func killed() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, port: 1001)
        let earlier = NodePresence(incarnation: .random(), address: node.address, version: Label(clipping: "1"))
        try await redis.command("SET", "{relay}:node:a", try #require(earlier.text), "PX", "600000")
        try await node.start(ownsAddress: false)
        #expect(node.routing.status.isJoined)
        await node.routing.stop()
    }

    @Test("whether another process can be dialled at an address is known from what is bound")
    func bound() throws {
        func isExact(_ address: ListenAddress, _ host: String, _ port: Int) throws -> Bool {
            address.isExactly(try SocketAddress(ipAddress: host, port: port))
        }
        let address = ListenAddress(host: "10.0.0.1", port: 7)
        #expect(try isExact(address, "10.0.0.1", 7))
        #expect(try !isExact(address, "10.0.0.1", 8))
        #expect(try !isExact(address, "0.0.0.0", 7))
        #expect(!address.isExactly(nil))
        for host in ["0.0.0.0", "::"] {
            #expect(try !isExact(ListenAddress(host: host, port: 7), host, 7), "all addresses of some machine")
        }
        #expect(try isExact(ListenAddress(host: "::1", port: 7), "::1", 7))
        #expect(try !isExact(ListenAddress(host: "localhost", port: 7), "127.0.0.1", 7))
    }

    @Test("a node that starts right after Redis was emptied does not take an absent name for free")
    func emptied() async throws {
        let redis = try await RedisServer()
        let old = try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow)
        let new = try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        let bob = User.test("bob")
        try await withNodes([old]) {
            // Alone it need not wait for another node.
            _ = try await old.users.register(bob, invitation: nil)
            try await redis.command("FLUSHALL")
            try await withNodes([new]) {
                await #expect(throws: ClusterUnavailable.settling) { try await new.users.user(named: bob.name) }
                await #expect(throws: ClusterUnavailable.settling) {
                    try await new.users.register(
                        User(name: bob.name, key: .random()), invitation: nil)
                }
                // The new node cannot notify the old one, whose presence is gone; the old one notifies the new one.
                try await redis.command(
                    "PUBLISH", "{relay}:bell:a", #"{"v":1,"id":"x1","from":"c","bell":"announce"}"#)
                try await eventually("bob") { (try? await new.users.user(named: bob.name)) == bob }
                try await eventually("the end of waiting") {
                    do { return try await new.users.user(named: .test("carol")) == nil } catch { return false }
                }
            }
        }
    }

    @Test("a node that makes the epoch waits until the others have written everything in it, and no longer")
    func together() async throws {
        let redis = try await RedisServer()
        let (a, b) = (
            try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow),
            try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        )
        try await withNodes([b]) {
            try await eventually("the presence of b in its epoch") {
                try await redis.command("GET", "{relay}:node:b").contains(#""epoch""#)
            }
            try await redis.command("DEL", "{relay}:epoch")
            try await withNodes([a]) {
                try await eventually("acquaintance") { b.routing.status.nodes == 1 }
                try await eventually("the end of waiting") {
                    do { return try await a.users.user(named: .test("carol")) == nil } catch { return false }
                }
            }
        }
    }
}
