// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct PeerStoreTests {
    private let temporary: TemporaryDirectory
    private let path: String
    private let store: PeerStore
    private let bob: Party
    private let impostor: Party

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("profile")
        store = PeerStore(path)
        bob = try Self.person("bob")
        impostor = try Self.person("bob")
    }

    private static func person(_ name: String) throws -> Party {
        let key = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
        return Party(
            name: try #require(PeerName(rawValue: name)), identity: try #require(SigningKey(bytes: key))
        )
    }

    private var content: String {
        get throws { try String(contentsOfFile: path + "/peers", encoding: .utf8) }
    }

    @Test func theFirstContactIsPinned() throws {
        #expect(try store.list().isEmpty && store.pin(of: bob.name) == nil)
        #expect(try store.contact(with: bob) == .first)
        // To look is not to meet.
        #expect(try store.list().isEmpty)
        #expect(try store.met(bob, now: 5) == .first)
        #expect(try store.met(bob, now: 6) == .known(isVerified: false))
        let pin = try #require(try store.pin(of: bob.name))
        #expect(pin.key == bob.identity && !pin.isVerified && pin.since == 5)
        #expect(pin.fingerprint == Fingerprint(of: bob.identity))
        #expect(try store.list() == [KnownPeer(name: bob.name, pin: pin)])
        #expect(try TemporaryDirectory.mode(of: path + "/peers") == 0o600)
    }

    @Test func anotherIdentityIsSeenAndChangesNothing() throws {
        _ = try store.met(bob, now: 5)
        let changed = Contact.changed(
            pinned: Fingerprint(of: bob.identity), shown: Fingerprint(of: impostor.identity))
        #expect(try store.contact(with: impostor) == changed)
        #expect(try store.met(impostor, now: 6) == changed)
        #expect(throws: SealingError.self) { try changed.check() }
        #expect(throws: Never.self) { try Contact.first.check() }
        #expect(try store.pin(of: bob.name)?.key == bob.identity)
        // Until a person says so.
        #expect(try store.forget(bob.name))
        #expect(try !store.forget(bob.name))
        #expect(try store.met(impostor, now: 7) == .first)
    }

    @Test func aFingerprintThatCameBeforeIsVerifiedAtTheFirstContact() throws {
        let fingerprint = Fingerprint(of: bob.identity)
        #expect(try store.add(bob.name, fingerprint, now: 5) == .added)
        let before = try #require(try store.pin(of: bob.name))
        #expect(before.key == nil && before.isVerified && before.fingerprint == fingerprint)
        #expect(
            try store.met(impostor, now: 6)
                == .changed(pinned: fingerprint, shown: Fingerprint(of: impostor.identity)))
        #expect(try store.met(bob, now: 7) == .known(isVerified: true))
        let after = try #require(try store.pin(of: bob.name))
        #expect(after.key == bob.identity && after.isVerified && after.since == 5)
    }

    @Test func aFingerprintThatComesLaterConfirmsOrContradicts() throws {
        _ = try store.met(bob, now: 5)
        let other = Fingerprint(of: impostor.identity)
        #expect(try store.add(bob.name, other, now: 6) == .contradicts(Fingerprint(of: bob.identity)))
        #expect(try store.pin(of: bob.name)?.isVerified == false)
        #expect(try store.add(bob.name, Fingerprint(of: bob.identity), now: 6) == .confirmed)
        #expect(try store.contact(with: bob) == .known(isVerified: true))
        #expect(try store.pin(of: bob.name)?.key == bob.identity)
        let carol = try Self.person("carol")
        _ = try store.add(carol.name, other, now: 7)
        #expect(
            try store.add(carol.name, Fingerprint(of: bob.identity), now: 8) == .contradicts(other))
    }

    @Test func whatManyDoAtOnceIsAllKept() async throws {
        let store = store
        let people = try (0..<20).map { number in try Self.person("p\(number)") }
        _ = try await AtOnce.run(people.count) { number in try store.met(people[number], now: 1) }
        #expect(Set(try store.list().map(\.name)) == Set(people.map(\.name)))
        #expect(try store.list().map(\.name.rawValue) == people.map(\.name.rawValue).sorted())
    }

    @Test func aDamagedLineIsNamedAndTheFileLeftAlone() throws {
        _ = try store.met(bob, now: 5)
        _ = try store.add(try Self.person("alice").name, Fingerprint(of: bob.identity), now: 5)
        let good = try content
        let lines = good.split(separator: "\n").map { "\($0)\n" }
        #expect(lines.count == 2 && lines[0].contains("alice"))
        let key = Base64URL.encode([UInt8](repeating: 0, count: 32))
        let damages: [(String, Int)] = [
            (lines[0] + lines[0], 2), (good + "\n", 3), ("\n" + good, 1), (lines[0] + lines[1].dropLast(9), 2),
            (String(good.dropLast()), 2), (good + "{}\n", 3),
            (lines[0] + lines[1].replacing("\"bob\"", with: "\"Bob!\""), 2),
            (lines[0] + lines[1].replacing(bob.identity.rawValue, with: key), 2),
            (lines[0].replacing("fingerprint", with: "print") + lines[1], 1),
            (lines[0] + lines[1].replacing("true", with: "1").replacing("false", with: "0"), 2),
            ("\u{0}\u{1}", 1),
        ]
        for (text, line) in damages {
            try temporary.write(Data(text.utf8), to: "profile/peers")
            for damaged in [
                caught(FileError.self) { _ = try store.list() },
                caught(FileError.self) { _ = try store.contact(with: bob) },
                caught(FileError.self) { _ = try store.met(bob, now: 9) },
                caught(FileError.self) { try store.forget(bob.name) },
            ] {
                #expect(damaged?.code == .unusableProfile)
                #expect(damaged?.message.hasPrefix("line \(line) of ") == true, "\(damaged?.message ?? "") \(text)")
            }
            #expect(try content == text)
        }
    }

    /// A file that a power cut has emptied would make each peer a first contact, and a wrong identity would be taken.
    @Test func anEmptyFileIsRefused() throws {
        _ = try store.met(bob, now: 5)
        try temporary.write(Data(), to: "profile/peers")
        for damaged in [
            caught(FileError.self) { _ = try store.list() },
            caught(FileError.self) { _ = try store.contact(with: bob) },
            caught(FileError.self) { _ = try store.met(bob, now: 9) },
            caught(FileError.self) { try store.forget(bob.name) },
        ] {
            #expect(damaged?.code == .unusableProfile && damaged?.status == .configuration)
            #expect(damaged?.message.contains("profile/peers\" is empty") == true, "\(damaged?.message ?? "")")
        }
        #expect(try content.isEmpty)
    }

    @Test func forgettingTheLastPeerLeavesNone() throws {
        _ = try store.met(bob, now: 5)
        #expect(try store.forget(bob.name))
        #expect(try store.list().isEmpty && store.met(bob, now: 6) == .first)
    }

    @Test func theListHasABound() throws {
        _ = try store.met(bob, now: 5)
        let line = try content
        let text = (0..<Defaults.mostPeers).map { line.replacing("\"bob\"", with: "\"p\($0)\"") }.joined()
        try temporary.write(Data(text.utf8), to: "profile/peers")
        #expect(try store.list().count == Defaults.mostPeers)
        let full = caught(FileError.self) { _ = try store.met(bob, now: 6) }
        #expect(full?.code == .unusableProfile && full?.message.contains("peers forget") == true)
        // Nothing else is kept from being done.
        let known = try #require(PeerName(rawValue: "p7"))
        #expect(try store.add(known, Fingerprint(of: bob.identity), now: 6) == .confirmed)
        #expect(try store.forget(known))
        #expect(try store.met(bob, now: 7) == .first)
    }
}
