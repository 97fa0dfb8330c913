// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// A client with write access to Redis makes up users, invitations and removals.
@Suite("What no node has written is believed by none", .serialized)
struct ForgedRecordsTests {
    private let records = UserRecords(RoutedNode.secret)
    private let bob = User.test("bob")
    private let mallory = User.test("bob")

    /// What a client without the secret could put under bob's name for a key of its own.
    private func forged() throws -> [String] {
        var record = try #require(UserRecord(records.text(of: bob)))
        let mac = record.mac
        record = UserRecord(mallory)
        let bare = record.text
        record.mac = mac
        let secret = try #require(ClusterSecret(bytes: [UInt8](repeating: 8, count: 32)))
        let named = User(name: .test("mallory"), key: mallory.key)
        // The last is a genuine one, of another name.
        return [bare, record.text, UserRecords(secret).text(of: mallory), "nonsense", "é", records.text(of: named)]
    }

    private func withRedis(
        _ registration: ServerMessage.Registration, _ body: (RedisServer, RoutedNode, RoutedNode) async throws -> Void
    ) async throws {
        let redis = try await RedisServer()
        let knowing = try RoutedNode("a", redis, port: 1001, registration: registration, timing: RoutedNode.slow)
        let ignorant = try RoutedNode("b", redis, port: 1002, registration: registration, timing: RoutedNode.slow)
        try await withNodes([knowing, ignorant]) { try await body(redis, knowing, ignorant) }
    }

    @Test("a node that knows the owner uses what it knows, and puts it right")
    func repaired() async throws {
        try await withRedis(.open) { redis, knowing, _ in
            #expect(try await knowing.users.register(bob, invitation: nil) == .registered)
            for (index, text) in try forged().enumerated() {
                try await redis.command("SET", "{relay}:user:bob", text)
                #expect(try await knowing.users.user(named: bob.name) == bob, "\(text)")
                #expect(knowing.users.forged == index + 1)
                try await eventually("the record") {
                    try await redis.command("GET", "{relay}:user:bob") == records.text(of: bob)
                }
            }
        }
    }

    @Test("no record makes one user another, on any node")
    func users() async throws {
        try await withRedis(.open) { redis, _, ignorant in
            for text in try forged() {
                try await redis.command("SET", "{relay}:user:bob", text)
                try await redis.command("ZADD", "{relay}:users", "0", "bob")
                await #expect(throws: ClusterUnavailable.self, "\(text)") {
                    try await ignorant.users.user(named: bob.name)
                }
                #expect(try await !ignorant.users.update(mallory), "\(text)")
                #expect(try await ignorant.users.register(mallory, invitation: nil) == .nameTaken, "\(text)")
                #expect(try await ignorant.users.users(after: nil, limit: 10).users.isEmpty)
            }
            #expect(ignorant.users.forged > 0)
            // An operator frees the name.
            #expect(try await ignorant.users.remove(bob.name))
            #expect(try await ignorant.users.register(bob, invitation: nil) == .registered)
        }
    }

    @Test("the owner registers anew where the owner is known, whatever stands there")
    func owner() async throws {
        try await withRedis(.invite) { redis, knowing, _ in
            let code = try await knowing.users.invite(bob.name, lifetime: 60).code
            #expect(try await knowing.users.register(bob, invitation: code) == .registered)
            for text in try forged() {
                try await redis.command("SET", "{relay}:user:bob", text)
                #expect(try await knowing.users.register(mallory, invitation: nil) == .badInvitation)
                try await redis.command("SET", "{relay}:user:bob", text)
                #expect(try await knowing.users.register(bob, invitation: nil) == .registered)
                try await redis.command("SET", "{relay}:user:bob", text)
                var later = bob
                later.prekey = .test(24_322)
                #expect(try await knowing.users.update(later))
                #expect(try await redis.command("GET", "{relay}:user:bob") == records.text(of: later))
                #expect(try await knowing.users.user(named: bob.name) == later)
            }
        }
    }

    @Test("an invitation that no node has made is none")
    func invitations() async throws {
        try await withRedis(.invite) { redis, node, _ in
            let (made, forBob) = (
                try await node.users.invite(nil, lifetime: 60).code,
                try await node.users.invite(bob.name, lifetime: 60).code
            )
            let code = try #require(InvitationCode.random())
            let digest = try #require(code.digest)
            var texts = ["", "bob", "bob ", " ", "é"]
            for each in [made, forBob] {
                texts.append(
                    try await redis.command("GET", ClusterKeys.invitation(try #require(each.digest))))
            }
            for text in texts {
                try await redis.command("SET", ClusterKeys.invitation(digest), text)
                #expect(try await node.users.register(bob, invitation: code) == .badInvitation, "\(text)")
            }
            // Nor does one for a name become one for any, or for another.
            let key = ClusterKeys.invitation(try #require(forBob.digest))
            for text in ["", try await redis.command("GET", key).replacing("bob", with: "carol")] {
                try await redis.command("SET", key, text)
                #expect(try await node.users.register(.test("carol"), invitation: forBob) == .badInvitation)
            }
            #expect(try await node.users.register(.test("carol"), invitation: made) == .registered)
        }
    }

    @Test("a removal that no operator has made makes no node forget a user")
    func removals() async throws {
        try await withRedis(.open) { redis, knowing, _ in
            #expect(try await knowing.users.register(bob, invitation: nil) == .registered)
            for text in ["1", "", records.removal(of: .test("carol")), "é"] {
                try await redis.command("SET", "{relay}:removed:bob", text)
                try await redis.command("DEL", "{relay}:user:bob")
                #expect(try await knowing.users.user(named: bob.name) == bob, "\(text)")
                #expect(try await knowing.users.register(mallory, invitation: nil) == .nameTaken, "\(text)")
                try await eventually("the record") { try await redis.keys().contains("{relay}:user:bob") }
            }
        }
    }

    @Test("a client that sees every command learns no MAC of what is refused")
    func monitored() async throws {
        try await withRedis(.invite) { redis, knowing, ignorant in
            let (code, spare) = (
                try await knowing.users.invite(bob.name, lifetime: 60).code,
                try await knowing.users.invite(nil, lifetime: 60).code
            )
            #expect(try await knowing.users.register(bob, invitation: code) == .registered)
            let carol = User.test("carol")
            #expect(try await knowing.users.register(carol, invitation: spare) == .registered)
            let open = try await ignorant.users.invite(nil, lifetime: 60).code
            let made = try #require(InvitationCode(rawValue: "made-up-by-mallory"))
            let digest = try #require(made.digest)
            let stranger = User.test("stranger")
            let monitor = try await redis.monitor()
            for node in [ignorant, knowing] {
                for invitation in [nil, made, open] {
                    let outcome: RegistrationOutcome = invitation == open ? .nameTaken : .badInvitation
                    #expect(try await node.users.register(mallory, invitation: invitation) == outcome)
                }
                #expect(try await node.users.register(stranger, invitation: made) == .badInvitation)
                for text in ["", "bob ", "é"] {
                    try await redis.command("SET", ClusterKeys.invitation(digest), text)
                    #expect(try await node.users.register(stranger, invitation: made) == .badInvitation, "\(text)")
                }
                #expect(try await node.users.rename(carol.name, to: bob.name) == .taken)
            }
            // Redis loses bob, and gets bob again.
            for text in [nil, ""] {
                if let text {
                    try await redis.command("SET", "{relay}:user:bob", text)
                } else {
                    try await redis.command("DEL", "{relay}:user:bob")
                }
                #expect(try await knowing.users.register(mallory, invitation: open) == .nameTaken)
                #expect(try await knowing.users.rename(carol.name, to: bob.name) == .taken)
                #expect(try await redis.command("GET", "{relay}:user:bob") == records.text(of: bob))
            }
            let written = try await knowing.users.restore([mallory, bob]).get()
            #expect(written == 0)
            try await redis.command("SET", "end", "of-it")
            try await monitor.wait(for: "of-it")

            func mac(_ user: User) throws -> String {
                try #require(UserRecord(records.text(of: user))?.mac).rawValue
            }
            let heard = monitor.output
            let known = try mac(bob)
            #expect(heard.contains(digest.rawValue) && heard.contains(known), "it hears what nodes do")
            let refused = [
                try mac(mallory), try mac(User(name: bob.name, key: carol.key)), try mac(stranger),
                records.removal(of: bob.name), records.removal(of: carol.name),
            ]
            for text in refused { #expect(!heard.contains(text)) }
            for name in [nil, bob.name, stranger.name] {
                let mac = records.mac("invitation", digest.rawValue, name?.rawValue ?? "").rawValue
                #expect(!heard.contains(mac), "\(String(describing: name))")
            }
        }
    }
}
