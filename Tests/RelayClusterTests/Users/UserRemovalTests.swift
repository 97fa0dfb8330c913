// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import RelayNode
import RelayTestFixtures
import ServerSystem
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Removed users stay removed, and others stay", .serialized)
struct UserRemovalTests {
    private static let records = UserRecords(RoutedNode.secret)
    private let bob = User.test("bob")

    private func register(_ user: User, on node: RoutedNode) async throws {
        let outcome = try await node.users.register(user, invitation: nil)
        #expect(outcome == .registered)
    }

    @Test("a node that brings its own registry again does not restore a removed user")
    func importedAgain() async throws {
        let redis = try await RedisServer()
        for round in 0..<2 {
            let imports = Mutex(0)
            let node = try RoutedNode(
                "a", redis, local: [bob, .test("carol\(round)")], imported: { imports.withLock { $0 += 1 } })
            try await withNodes([node]) {
                try await eventually("the import") { imports.withLock { $0 } == 1 }
                #expect(try await node.users.user(named: bob.name) == (round == 0 ? bob : nil))
                #expect(await node.users.counts().users == 2)
                #expect(try await node.users.remove(bob.name) == (round == 0))
            }
        }
    }

    @Test("a removed user is not restored; registered anew it is, and may be removed again")
    func removal() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            try await register(bob, on: node)
            #expect(try await node.users.remove(bob.name))
            #expect(try await node.users.restore([bob]).get() == 0)
            #expect(try await node.users.user(named: bob.name) == nil)
            let next = User.test("bob")
            try await register(next, on: node)
            #expect(try await !redis.keys().contains("{relay}:removed:bob"))
            #expect(try await node.users.restore([bob]).get() == 0)
            #expect(try await node.users.user(named: bob.name) == next)
            // Only the owner's login changes the owner's keys.
            #expect(try await !node.users.update(User(name: bob.name, key: bob.key)))
            #expect(try await node.users.update(User(name: bob.name, key: next.key)))
        }
    }

    @Test("a removal reaches sessions although its notification was lost, and so does another owner")
    func lostBell() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis)
        let carol = User.test("carol")
        try await withNodes([node]) {
            for user in [bob, carol] { try await register(user, on: node) }
            node.sessions.withLock { $0 = [bob.name, carol.name] }
            // A removal is one step of Redis: between two commands a renewal must not take the user for lost.
            try await redis.command("SET", "{relay}:removed:bob", Self.records.removal(of: bob.name))
            try await redis.command("DEL", "{relay}:user:bob")
            let other = User.test("carol")
            try await redis.command("SET", "{relay}:user:carol", Self.records.text(of: other))
            try await node.told(.user(bob.name, nil))
            try await node.told(.user(carol.name, other))
        }
    }

    @Test("the users of all sessions are read when notifications come again, and a failed lookup is repeated")
    func listening() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            try await register(bob, on: node)
            node.sessions.withLock { $0 = [bob.name] }
            try await redis.command("SET", "{relay}:removed:bob", Self.records.removal(of: bob.name))
            try await redis.command("DEL", "{relay}:user:bob")
            try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            try await node.told(.user(bob.name, nil))
        }
        var lookups = LookupQueue()
        lookups.addUser(bob.name)
        let lookup = LookupQueue.Lookup.users([bob.name])
        #expect(lookups.next() == [lookup])
        lookups.failed(lookup)
        #expect(lookups.next().isEmpty, "not at once")
        lookups.retry()
        #expect(lookups.next() == [lookup])
        lookups.succeeded(lookup)
        #expect(lookups.next().isEmpty)
    }

    @Test("users that Redis has lost under the same epoch are written again, on a new connection and when asked for")
    func olderRedis() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            try await register(bob, on: node)
            try await redis.command("DEL", "{relay}:user:bob", "{relay}:users")
            #expect(try await node.users.user(named: bob.name) == bob)
            try await eventually("bob") {
                try await redis.keys().isSuperset(of: ["{relay}:user:bob", "{relay}:users"])
            }
            try await redis.command("DEL", "{relay}:user:bob", "{relay}:users")
            try await redis.command("CLIENT", "KILL", "TYPE", "normal")
            try await eventually("bob") {
                try await redis.keys().isSuperset(of: ["{relay}:user:bob", "{relay}:users"])
            }
            // No other user gets the name in between.
            try await redis.command("DEL", "{relay}:user:bob", "{relay}:users")
            let outcome = try await node.users.register(
                User(name: bob.name, key: .random()), invitation: nil)
            #expect(outcome == .nameTaken)
        }
    }

    @Test("a name that has a new owner closes the sessions of others only")
    func sessions() {
        var fixture = BrokerFixture()
        let session = fixture.open("bob")
        let owner = BrokerFixture.user("bob")
        #expect(fixture.handle(.nameRemoved(owner.name, except: owner.key)).isEmpty)
        let close = [BrokerAction.close(session, .loginFailed)]
        #expect(fixture.handle(.nameRemoved(owner.name, except: .random())) == close)
        #expect(fixture.handle(.nameRemoved(owner.name)) == close)
    }

    @Test("a registry that was imported is put away, and a start finds none")
    func putAway() throws {
        let temporary = try TemporaryDirectory()
        let file = RegistryFile(directory: try StateDirectory(path: temporary.file("state")))
        var registry = UserRegistry()
        registry.users[bob.name] = bob
        try file.replace(with: registry)
        try file.retire()
        #expect(try file.load { _ in }.users.isEmpty)
        #expect(throws: SystemError.self) { try file.retire() }
    }
}
