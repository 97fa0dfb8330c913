// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import RelayNode
import RelayTestFixtures
import ServerSystem
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("The users' registry in Redis", .serialized)
struct RedisUserDirectoryTests {
    private func withTwo(
        _ registration: ServerMessage.Registration = .open, local: [User] = [],
        _ body: (RedisServer, RoutedNode, RoutedNode) async throws -> Void
    ) async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, registration: registration, local: local)
        let b = try RoutedNode("b", redis, port: 1002, registration: registration)
        try await withNodes([a, b]) {
            try await eventually("acquaintance") { a.routing.status.nodes == 1 && b.routing.status.nodes == 1 }
            try await body(redis, a, b)
        }
    }

    @Test("of two nodes that register one name at once exactly one succeeds")
    func race() async throws {
        try await withTwo { _, a, b in
            for round in 0..<20 {
                let name = PeerName.test("name\(round)")
                let (one, other) = (SigningKey.random(), SigningKey.random())
                async let first = a.users.register(User(name: name, key: one), invitation: nil)
                async let second = b.users.register(
                    User(name: name, key: other), invitation: nil)
                let outcomes = try await [first, second]
                #expect(Set(outcomes) == [.registered, .nameTaken])
                let winner = outcomes[0] == .registered ? one : other
                #expect(try await a.users.user(named: name)?.key == winner)
                #expect(try await b.users.user(named: name)?.key == winner)
            }
        }
    }

    @Test("of two names that use one invitation at once exactly one is registered")
    func invitationRace() async throws {
        try await withTwo(.invite) { _, a, b in
            for round in 0..<20 {
                let code = try await a.users.invite(nil, lifetime: 3600).code
                async let first = a.users.register(
                    User(name: .test("a\(round)"), key: .random()), invitation: code)
                async let second = b.users.register(
                    User(name: .test("b\(round)"), key: .random()), invitation: code)
                #expect(Set(try await [first, second]) == [.registered, .badInvitation])
            }
            #expect(await a.users.counts() == (users: 20, invitations: 0))
        }
    }

    @Test("a copy takes the place of what another node remembers of a user")
    func plainCopy() async throws {
        try await withTwo { _, a, b in
            let alice = User(name: .test("alice"), key: .random())
            #expect(try await b.users.register(alice, invitation: nil) == .registered)
            _ = try await b.users.changeAccount(of: alice.name) { $0.note = "old" }
            #expect(try await b.users.account(of: alice.name).note == "old")
            try await a.users.restore(RegistryCopy(users: [AccountRecord(alice, nil)]), isWhole: true)
            #expect(try await b.users.account(of: alice.name).isPlain)
            #expect(try await a.users.account(of: alice.name).isPlain)
        }
    }

    @Test("any time in a copy can be given to Redis", arguments: [Int64.min, 0, 1, 1_700_000_000, .max])
    func times(seconds: Int64) {
        let milliseconds = RedisUserDirectory.milliseconds(of: UnixTime(seconds: seconds))
        #expect(milliseconds > 0 && Int64(Double(milliseconds)) == milliseconds)
        if seconds == 1_700_000_000 { #expect(milliseconds == seconds * 1000) }
    }

    @Test("registering follows the same rules as in a file")
    func rules() async throws {
        try await withTwo(.invite) { redis, a, b in
            let (bob, carol) = (PeerName.test("bob"), PeerName.test("carol"))
            let key = SigningKey.random()
            let prekeys = [PublishedPrekey.test(1), .test(2)]
            func register(
                _ name: PeerName, _ key: SigningKey, _ prekey: PublishedPrekey, _ code: InvitationCode?
            ) async throws -> RegistrationOutcome {
                try await a.users.register(User(name: name, key: key, prekey: prekey), invitation: code)
            }
            let forBob = try await b.users.invite(bob, lifetime: 3600).code
            #expect(try await register(carol, key, prekeys[0], forBob) == .badInvitation)
            #expect(try await register(bob, key, prekeys[0], nil) == .badInvitation)
            #expect(try await register(bob, key, prekeys[0], forBob) == .registered)
            #expect(try await register(carol, key, prekeys[0], forBob) == .badInvitation)
            // The same key again confirms, needs no invitation and uses none up, and brings its prekey.
            let forAny = try await b.users.invite(nil, lifetime: 3600).code
            #expect(try await register(bob, key, prekeys[1], forAny) == .registered)
            #expect(try await b.users.user(named: bob)?.prekey == prekeys[1])
            #expect(try await register(bob, .random(), prekeys[0], forAny) == .nameTaken)
            #expect(await a.users.counts() == (users: 1, invitations: 1))
            await #expect(throws: OperatorError.self) { try await a.users.invite(bob, lifetime: 1) }
            let brief = try await a.users.invite(nil, lifetime: 1).code
            try await eventually("its end") { await a.users.counts() == (users: 1, invitations: 1) }
            #expect(try await register(carol, key, prekeys[0], brief) == .badInvitation)
            let lost = try await a.users.invite(nil, lifetime: 3600).code
            try await b.users.withdraw(lost)
            #expect(try await register(carol, key, prekeys[0], lost) == .badInvitation)
            #expect(await a.users.counts() == (users: 1, invitations: 1))
            // A name whose record is not a user belongs to no user, and yet is not free.
            try await redis.command("SET", "{relay}:user:carol", "nonsense")
            #expect(try await register(carol, key, prekeys[0], forAny) == .nameTaken)
            await #expect(throws: ClusterUnavailable.nonsense) { try await a.users.user(named: carol) }
        }
        try await withTwo(.closed) { _, a, _ in
            let outcome = try await a.users.register(
                User(name: .test("bob"), key: .random()), invitation: nil)
            #expect(outcome == .closed)
        }
    }

    @Test("of a login the prekey is recorded; one from the month before, or none, changes nothing")
    func prekeys() async throws {
        try await withTwo { redis, a, b in
            var bob = User.test("bob")
            #expect(try await a.users.register(bob, invitation: nil) == .registered)
            for epoch: UInt32 in [24_321, 24_322, 24_322, 24_380, 24_323] {
                bob.prekey = .test(epoch)
                #expect(try await a.users.update(bob))
                #expect(try await b.users.user(named: bob.name) == bob)
                try await b.told(.user(bob.name, bob))
            }
            var behind = bob
            for prekey in [nil, PublishedPrekey.test(24_322)] {
                behind.prekey = prekey
                let text = try await redis.command("GET", "{relay}:user:bob")
                #expect(try await b.users.update(behind))
                #expect(try await a.users.register(behind, invitation: nil) == .registered)
                #expect(try await redis.command("GET", "{relay}:user:bob") == text)
            }
            #expect(try await a.users.user(named: bob.name) == bob)
        }
    }

    @Test("logins at once on two nodes are all recorded, one after the other")
    func racingLogins() async throws {
        try await withTwo { _, a, b in
            let bob = User.test("bob")
            #expect(try await a.users.register(bob, invitation: nil) == .registered)
            func bringing(_ epoch: UInt32) -> User {
                User(name: bob.name, key: bob.key, prekey: .test(epoch))
            }
            for round: UInt32 in 1...20 {
                let (earlier, later) = (bringing(2 * round), bringing(2 * round + 1))
                async let first = a.users.update(earlier)
                async let second = b.users.update(later)
                let areRecorded = try await [first, second]
                #expect(areRecorded == [true, true])
                // Whichever came first: the one of the month before does not replace the later one.
                #expect(try await a.users.user(named: bob.name) == later)
            }
        }
    }

    @Test("a removed name and changed keys are told to the other nodes")
    func changes() async throws {
        try await withTwo { _, a, b in
            let bob = User.test("bob")
            _ = try await a.users.register(bob, invitation: nil)
            #expect(try await b.users.user(named: bob.name) == bob)
            var changed = bob
            changed.prekey = .test(1)
            #expect(try await a.users.update(changed))
            try await b.told(.user(bob.name, changed))
            #expect(try await a.users.remove(bob.name))
            #expect(try await !a.users.remove(bob.name))
            try await b.told(.user(bob.name, nil))
            #expect(try await b.users.user(named: bob.name) == nil)
            // The keys of a user who does not exist cannot be changed.
            #expect(try await !a.users.update(User(name: bob.name, key: bob.key)))
            #expect(try await a.users.user(named: bob.name) == nil)
        }
    }

    @Test("pages cover all names in order")
    func pages() async throws {
        try await withTwo { redis, a, _ in
            let names = (0..<25).map { PeerName.test("name\($0)") }
            let users = names.map { User(name: $0, key: .random()) }
            #expect(try await a.users.restore(users).get() == 25)
            #expect(try await a.users.restore(users).get() == 0)
            var found: [User] = []
            var isLast = false
            while !isLast {
                let page = try await a.users.users(after: found.last?.name, limit: 10)
                #expect(page.users.count <= 10)
                (found, isLast) = (found + page.users, page.isLast)
            }
            #expect(found == users.sorted { $0.name.rawValue < $1.name.rawValue })
            #expect(try await a.users.users(after: nil, limit: 25).isLast)
        }
    }

    @Test("names of a registry the node had before are imported, and replace no other user")
    func imported() async throws {
        let local = (0..<3).map { User.test("name\($0)") }
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001)
        try await withNodes([a]) {
            let taken = User.test("name1")
            _ = try await a.users.register(taken, invitation: nil)
            let b = try RoutedNode("b", redis, port: 1002, local: local)
            try await withNodes([b]) {
                try await eventually("the import") { await a.users.counts().users == 3 }
                #expect(try await a.users.users(after: nil, limit: 10).users == [local[0], taken, local[2]])
            }
        }
    }

    @Test("with Redis away users that were seen still log in; others are told that the cluster is unavailable")
    func away() async throws {
        try await withTwo { redis, a, b in
            let bob = User.test("bob")
            _ = try await a.users.register(bob, invitation: nil)
            try await redis.kill()
            #expect(try await a.users.user(named: bob.name) == bob)
            await #expect(throws: ClusterUnavailable.self) { try await b.users.user(named: bob.name) }
            await #expect(throws: ClusterUnavailable.self) {
                try await a.users.register(
                    User(name: .test("new"), key: .random()), invitation: nil)
            }
            await #expect(throws: ClusterUnavailable.self) {
                try await a.users.update(User(name: bob.name, key: bob.key, prekey: .test(1)))
            }
            #expect(try await a.users.update(bob))
            await #expect {
                try await a.users.remove(bob.name)
            } throws: {
                ($0 as? OperatorError)?.status == .unavailable
            }
        }
    }

    @Test("invitations of a registry the node had before are imported after its users, notes and names included")
    func importedInvitations() async throws {
        let redis = try await RedisServer()
        var local = UserRegistry()
        let codes = try (0..<150).map { _ in try #require(InvitationCode.random()) }
        for (index, code) in codes.enumerated() {
            let invitation = Invitation(
                digest: try #require(code.digest), name: index == 0 ? .test("carol") : nil,
                expires: UnixTime(seconds: UnixTime.now.seconds + (index == 1 ? -5 : 3600)),
                note: index == 2 ? "course of May" : nil)
            local.invitations[invitation.digest] = invitation
        }
        let isImported = Mutex(false)
        let node = try RoutedNode(
            "a", redis, registration: .invite, registry: local, imported: { isImported.withLock { $0 = true } })
        try await withNodes([node]) {
            try await eventually("the import") { isImported.withLock { $0 } }
            #expect(await node.users.counts() == (users: 0, invitations: 149), "one has expired")
            #expect(try await Set(node.users.invitations().compactMap(\.note)) == ["course of May"])
            func register(_ name: String, _ index: Int) async throws -> RegistrationOutcome {
                try await node.users.register(User(name: .test(name), key: .random()), invitation: codes[index])
            }
            #expect(try await register("dave", 0) == .badInvitation, "it is carol's")
            #expect(try await register("carol", 0) == .registered)
            #expect(try await register("dave", 1) == .badInvitation, "it has expired")
            #expect(try await register("dave", 2) == .registered)
        }
    }

    @Test("the bytes of ten thousand users are some commands, and one wait for a Redis that does not answer")
    func traffic() async throws {
        let redis = try await RedisServer()
        let node = try RoutedNode("a", redis)
        try await withNodes([node]) {
            let moved = Dictionary(
                uniqueKeysWithValues: (0..<10_000).map { (PeerName.test("user\($0)"), UInt64($0 + 1)) })
            _ = await node.users.add(moved, day: 5)
            let sums = await node.users.add(moved, day: 5)
            #expect(sums.count == moved.count && sums.allSatisfy { $0.value == 2 * (moved[$0.key] ?? 0) })
            // Not a command for each, whose replies would be waited for one after the other.
            let scripts = try await redis.command("INFO", "commandstats").split(separator: "\r\n")
                .first { $0.hasPrefix("cmdstat_evalsha:") }?.split(separator: ",").first?.split(separator: "=").last
            #expect(scripts.flatMap { Int($0) }.map { (20...400).contains($0) } == true)
            #expect(await node.users.sum(of: .test("user9"), day: 5) == 20)
            #expect(await node.users.sum(of: .test("user9"), day: 6) == nil)
            redis.signal(SIGSTOP)
            let began = ContinuousClock.now
            #expect(await node.users.add(moved, day: 5).isEmpty)
            #expect(ContinuousClock.now - began < .seconds(4), "one deadline of 2 s for all of them")
            redis.signal(SIGCONT)
        }
    }
}
