// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import RedisTransport
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster
@testable import RelayNode

/// A fault of Redis is the relay's own, and is told as that: never as a client's absence, refusal or fault.
@Suite("A fault of Redis does not count as an absence", .serialized)
struct RedisFaultTests {
    private static let brief = RoutingTiming(
        renewal: .milliseconds(100), life: .seconds(2), claim: .seconds(10), claimLookup: .milliseconds(50),
        ticketLookup: .seconds(600))

    /// A way for Redis to answer, and to take nothing; and the way back.
    enum Fault: String, CaseIterable {
        case outOfMemory, replica

        func begin(_ redis: RedisServer) async throws {
            switch self {
            case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "1")
            case .replica: try await redis.command("REPLICAOF", "127.0.0.1", "1")
            }
        }

        func end(_ redis: RedisServer) async throws {
            switch self {
            case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "0")
            case .replica: try await redis.command("REPLICAOF", "NO", "ONE")
            }
        }
    }

    @Test(
        "every word with which Redis refuses a command is cluster_unavailable",
        arguments: [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "ERR whatever",
        ])
    func refusal(_ message: String) async throws {
        let redis = try await RefusingRedis(message)
        let node = try RoutedNode("a", redisPort: redis.port, registration: .invite)
        node.routing.store.client.start()
        try await eventually("the connection") { node.routing.store.isConnected }
        let verifier = LoginVerifier(
            directory: node.users, audience: "relay.example.com", limits: LimitControl { _ in })
        for purpose in [Credentials.Purpose.login, .register] {
            let attempt = try Self.attempt(purpose, "relay.example.com")
            #expect(await verifier.verdict(on: attempt) == .refused(.clusterUnavailable), "\(purpose)")
        }
        await #expect(throws: ClusterUnavailable.self) { try await node.users.user(named: .test("bob")) }
        await #expect(throws: ClusterUnavailable.self) {
            try await node.users.update(User(name: .test("bob"), key: .random()))
        }
        await #expect(throws: ClusterUnavailable.self) {
            try await node.routing.home(of: TokenDigest(.random())).get()
        }
        await #expect(throws: ClusterUnavailable.self) { try await node.routing.receivers(of: .test("bob")).get() }
        await #expect(throws: ClusterUnavailable.self) {
            try await node.routing.requests.routes(of: [.test("bob")], at: ClusterKeys.receivingPrefix).get()
        }
        await #expect(throws: OperatorError.self) { try await node.users.invite(nil, lifetime: 60) }
        try await node.routing.store.client.stop().get()
        try await redis.stop()
    }

    @Test("a Redis that takes no writes does not count as one that has nothing", arguments: Fault.allCases)
    func absence(_ fault: Fault) async throws {
        let redis = try await RedisServer()
        let (a, b) = (
            try RoutedNode("a", redis, port: 1001, timing: RoutedNode.slow),
            try RoutedNode("b", redis, port: 1002, timing: RoutedNode.slow)
        )
        try await withNodes([a, b]) {
            let known = PeerName.test("known")
            _ = try await a.users.register(User(name: known, key: .random()), invitation: nil)
            let (old, new) = (TokenDigest(.random()), TokenDigest(.random()))
            try await a.routing.publish(old, lifetime: .seconds(60)).get()
            a.routing.setReceiving(known, sessions: [1])
            try await eventually("the route") { try await redis.keys().contains("{relay}:receiving:known:a") }
            try await fault.begin(redis)

            // Its home keeps it, and could not tell.
            await #expect(throws: ClusterUnavailable.self) {
                try await a.routing.publish(new, lifetime: .seconds(60)).get()
            }
            await #expect(throws: ClusterUnavailable.self) { try await b.routing.home(of: new).get() }
            let stranger = PeerName.test("stranger")
            await #expect(throws: ClusterUnavailable.self) { try await b.routing.receivers(of: stranger).get() }
            await #expect(throws: ClusterUnavailable.self) { try await b.users.user(named: stranger) }
            // What stands there is found as ever; a replica is left, in search of the primary.
            if fault == .outOfMemory {
                #expect(try await b.routing.home(of: old).get() == a.node)
                #expect(try await b.routing.receivers(of: known).get().count == 1)
                #expect(try await b.users.user(named: known) != nil)
            }

            try await fault.end(redis)
            // It may have been left for a primary meanwhile.
            try await eventually("the connections") { a.routing.status.isJoined && b.routing.status.isJoined }
            #expect(try await b.routing.receivers(of: stranger).get() == [])
            #expect(try await b.users.user(named: stranger) == nil)
            // What Redis has refused to others may not be there yet: an absent token says nothing for some seconds.
            await #expect(throws: ClusterUnavailable.self) {
                try await b.routing.home(of: TokenDigest(.random())).get()
            }
            try await eventually("an absent token") {
                do { return try await b.routing.home(of: TokenDigest(.random())).get() == nil } catch { return false }
            }
            #expect(try await redis.keys().allSatisfy { !$0.contains("stranger") })
        }
    }

    @Test("a node whose presence Redis does not renew is not considered gone", arguments: Fault.allCases)
    func places(_ fault: Fault) async throws {
        let redis = try await RedisServer()
        let (a, b) = (
            try RoutedNode("a", redis, port: 1001, timing: Self.brief),
            try RoutedNode("b", redis, port: 1002, timing: Self.brief)
        )
        try await withNodes([a, b]) {
            try await eventually("acquaintance") { a.routing.status.nodes == 1 && b.routing.status.nodes == 1 }
            try await fault.begin(redis)
            try await eventually("the loss of both places") { !a.routing.status.isJoined && !b.routing.status.isJoined }
            try await eventually("the end of both presences") {
                try await redis.command("EXISTS", "{relay}:node:a", "{relay}:node:b") == "0"
            }
            #expect(try await a.routing.address(of: .test("b")).get() != nil)
            await #expect(throws: ClusterUnavailable.self) {
                try await a.routing.requests.routes(of: [.test("bob")], at: ClusterKeys.receivingPrefix).get()
            }
            for (node, other) in [(a, b), (b, a)] {
                #expect(!node.events.contains { if case .gone(other.node, _) = $0 { true } else { false } })
            }
            try await fault.end(redis)
            try await eventually("both places") { a.routing.status.isJoined && b.routing.status.isJoined }
        }
    }

    @Test("an invitation is neither used up nor rejected while Redis takes no writes", arguments: Fault.allCases)
    func invitation(_ fault: Fault) async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, registration: .invite, timing: RoutedNode.slow)
        try await withNodes([node]) {
            let code = try await node.users.invite(nil, lifetime: 3600).code
            let other = try #require(InvitationCode.random())
            try await fault.begin(redis)
            for each in [code, other] {
                await #expect(throws: ClusterUnavailable.self) {
                    try await node.users.register(
                        User(name: .test("bob"), key: .random()), invitation: each)
                }
            }
            try await fault.end(redis)
            try await eventually("the connection") { node.routing.status.isJoined }
            func register(_ code: InvitationCode) async throws -> RegistrationOutcome {
                try await node.users.register(
                    User(name: .test("bob"), key: .random()), invitation: code)
            }
            #expect(try await register(other) == .badInvitation)
            #expect(try await register(code) == .registered)
            #expect(await node.users.counts() == (users: 1, invitations: 0))
        }
    }

    @Test("a user that Redis has lost, and does not take back, is not refused")
    func lost() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis, timing: RoutedNode.slow)
        try await withNodes([node]) {
            let (bob, key) = (PeerName.test("bob"), SigningKey.random())
            _ = try await node.users.register(User(name: bob, key: key), invitation: nil)
            try await redis.command("DEL", "{relay}:user:bob")
            try await Fault.outOfMemory.begin(redis)
            await #expect(throws: ClusterUnavailable.self) {
                try await node.users.update(User(name: bob, key: key, prekey: .test(1)))
            }
            try await Fault.outOfMemory.end(redis)
            try await eventually("its return") {
                (try? await node.users.update(User(name: bob, key: key))) == true
            }
            #expect(try await node.users.update(User(name: bob, key: .random())) == false)
        }
    }

    private static func attempt(_ purpose: Credentials.Purpose, _ audience: String) throws -> LoginAttempt {
        let (key, nonce) = (Curve25519.Signing.PrivateKey(), Nonce.random())
        let name = PeerName.test("bob")
        let signed = Credentials.signedBytes(
            purpose: purpose, audience: audience, name: name, nonce: nonce)
        let credentials = Credentials(
            name: name, key: try #require(SigningKey(bytes: key.publicKey.rawRepresentation)),
            signature: try #require(LoginSignature(bytes: try key.signature(for: signed))),
            agent: Label(clipping: "test"))
        return LoginAttempt(
            id: .unknown, purpose: purpose, credentials: credentials, nonce: nonce, invitation: .random())
    }
}
