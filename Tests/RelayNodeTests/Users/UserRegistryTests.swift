// SPDX-License-Identifier: Apache-2.0

import RelayTestFixtures
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite("The rules of names and invitations")
struct UserRegistryTests {
    private let now = UnixTime(seconds: 1_000_000)
    private let alice = PeerName.test("alice")
    private let bob = PeerName.test("bob")
    private let key = SigningKey.random()
    private let other = SigningKey.random()

    private func code(_ text: String) throws -> InvitationCode { try #require(InvitationCode(rawValue: text)) }

    private func invited(
        _ text: String, for name: PeerName? = nil, expires: Int64 = 100, limits: UserRegistry.Limits = .init()
    ) throws -> UserRegistry {
        var registry = UserRegistry()
        registry.limits = limits
        let digest = try #require(try code(text).digest)
        let invitation = Invitation(digest: digest, name: name, expires: now.advanced(by: expires))
        #expect(registry.invite(invitation, now: now) == .invited)
        return registry
    }

    private func register(
        _ registry: inout UserRegistry, _ name: PeerName, key: SigningKey? = nil, code text: String? = nil,
        mode: ServerMessage.Registration = .invite, later seconds: Int64 = 0
    ) throws -> RegistrationOutcome {
        try registry.register(
            User(name: name, key: key ?? self.key),
            invitation: text.flatMap { InvitationCode(rawValue: $0) }, mode: mode, now: now.advanced(by: seconds))
    }

    @Test("an invitation registers one name, once")
    func invitationIsSingleUse() throws {
        var registry = try invited("secret")
        #expect(try register(&registry, alice, code: "secret") == .registered)
        #expect(registry.users[alice] == User(name: alice, key: key))
        #expect(registry.invitations.isEmpty)
        #expect(try register(&registry, bob, key: other, code: "secret") == .badInvitation)
        #expect(registry.users[bob] == nil)
    }

    @Test("a missing, unknown or expired invitation, or one of another user, is refused, and uses nothing up")
    func badInvitations() throws {
        var registry = try invited("secret", for: alice)
        let before = registry
        #expect(try register(&registry, alice) == .badInvitation)
        #expect(try register(&registry, alice, code: "guess") == .badInvitation)
        #expect(try register(&registry, bob, code: "secret") == .badInvitation)
        #expect(try register(&registry, alice, code: "secret", later: 100) == .badInvitation)
        #expect(registry == before)
        #expect(try register(&registry, alice, code: "secret", later: 99) == .registered)
    }

    @Test("the same key confirms its name in every mode, keeps the invitation, and brings its prekey")
    func sameKeyAgain() throws {
        for mode in ServerMessage.Registration.allCases {
            var registry = try invited("first")
            #expect(try register(&registry, alice, code: "first") == .registered)
            let digest = try #require(try code("second").digest)
            _ = registry.invite(Invitation(digest: digest, name: nil, expires: now.advanced(by: 1)), now: now)
            let fresh = PublishedPrekey.test(1)
            let outcome = try registry.register(
                User(name: alice, key: key, prekey: fresh), invitation: try code("second"), mode: mode, now: now)
            #expect(outcome == .registered)
            #expect(registry.users[alice]?.prekey == fresh)
            #expect(registry.invitations.count == 1)
        }
    }

    @Test("a name belongs to its first key until it is removed; a failed attempt keeps the invitation")
    func nameIsTaken() throws {
        var registry = try invited("one")
        #expect(try register(&registry, alice, mode: .open) == .registered)
        #expect(try register(&registry, alice, key: other, mode: .open) == .nameTaken)
        #expect(try register(&registry, alice, key: other, code: "one") == .nameTaken)
        #expect(registry.invitations.count == 1)
        #expect(registry.users[alice]?.key == key)
        #expect(registry.remove(alice) == true)
        #expect(registry.remove(alice) == false)
        #expect(try register(&registry, alice, key: other, code: "one") == .registered)
        #expect(registry.users[alice]?.key == other)
    }

    @Test("without a good invitation a taken name looks like a free one")
    func strangersLearnNothing() throws {
        var registry = UserRegistry()
        #expect(try register(&registry, alice, mode: .open) == .registered)
        #expect(try register(&registry, alice, key: other) == .badInvitation)
        #expect(try register(&registry, bob, key: other) == .badInvitation)
        #expect(try register(&registry, alice, key: other, mode: .closed) == .closed)
        #expect(try register(&registry, bob, key: other, mode: .closed) == .closed)
    }

    @Test("names and invitations are bounded, and expired invitations make room")
    func bounds() throws {
        var registry = try invited("one", expires: 10, limits: .init(users: 1, invitations: 1))
        let digest = try #require(try code("two").digest)
        let second = Invitation(digest: digest, name: nil, expires: now.advanced(by: 50))
        #expect(registry.invite(second, now: now) == .tooMany)
        #expect(registry.invite(second, now: now.advanced(by: 10)) == .invited)
        #expect(registry.invitations.count == 1)
        #expect(try register(&registry, alice, mode: .open) == .registered)
        #expect(throws: UserRegistry.Full.self) { try register(&registry, bob, key: other, code: "two") }
        #expect(registry.invitations.count == 1)
    }

    @Test("no user is invited under a taken name")
    func inviteTakenName() throws {
        var registry = UserRegistry()
        #expect(try register(&registry, alice, mode: .open) == .registered)
        let digest = try #require(try code("x").digest)
        let outcome = registry.invite(Invitation(digest: digest, name: alice, expires: now.advanced(by: 5)), now: now)
        #expect(outcome == .nameTaken)
    }

    @Test("what a login brings is recorded of those whose name it is")
    func updates() throws {
        var registry = UserRegistry()
        #expect(try register(&registry, alice, mode: .open) == .registered)
        let fresh = PublishedPrekey.test(1)
        #expect(registry.update(User(name: alice, key: key, prekey: fresh)) == true)
        #expect(registry.update(User(name: alice, key: other)) == false)
        #expect(registry.update(User(name: bob, key: key)) == false)
        #expect(registry.users == [alice: User(name: alice, key: key, prekey: fresh)])
    }

    @Test("invitation codes have 128 random bits and are kept as a digest")
    func codes() throws {
        let codes = try (0..<1000).map { _ in try #require(InvitationCode.random()) }
        #expect(Set(codes).count == 1000)
        #expect(!codes.contains { $0.rawValue.hasPrefix("-") })
        #expect(codes.allSatisfy { Base64URL.decode($0.rawValue)?.count == 16 })
        #expect(try #require(codes[0].digest).rawValue != codes[0].rawValue)
    }
}
