// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct AttemptStoreTests {
    private let temporary: TemporaryDirectory
    private let path: String
    private let store: AttemptStore
    private let offers: Offers

    private static let now: UInt64 = 1_780_272_000_000
    private static let day: UInt64 = 86_400_000

    /// Makes offers that were opened.
    private struct Offers {
        let alice: Party
        let bob: Party
        let key = Curve25519.Signing.PrivateKey()
        let ratchet: PrekeyRatchet
        let prekey: Prekey

        init() throws {
            let other = Curve25519.Signing.PrivateKey()
            alice = Party(
                name: try #require(PeerName(rawValue: "alice")),
                identity: try #require(SigningKey(bytes: key.publicKey.rawRepresentation)))
            bob = Party(
                name: try #require(PeerName(rawValue: "bob")),
                identity: try #require(SigningKey(bytes: other.publicKey.rawRepresentation)))
            let epoch = Epoch(milliseconds: AttemptStoreTests.now)
            ratchet = try #require(PrekeyRatchet(name: bob.name, epoch: epoch, seed: SymmetricKey(size: .bits256)))
            prekey = try ratchet.prekey(signedBy: other)
        }

        func make(_ attempt: AttemptID = .random()) throws -> ReceivedOffer {
            var generator = SystemRandomNumberGenerator()
            let parties = AttemptParties(attempt: attempt, sender: alice, receiver: bob)
            let sent = try OfferSealing.seal(
                OfferSummary(names: ["a"], kind: .file), of: .random(), between: parties, to: prekey, signedBy: key,
                time: AttemptStoreTests.now, using: &generator)
            return try OfferSealing.open(
                sent.payload, between: parties, with: ratchet, time: AttemptStoreTests.now)
        }
    }

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("profile")
        store = AttemptStore(path)
        offers = try Offers()
    }

    private var content: String {
        get throws { try String(contentsOfFile: path + "/attempts", encoding: .utf8) }
    }

    @Test func anAttemptIsTakenOnce() throws {
        let (first, second) = (try offers.make(), try offers.make())
        #expect(try !store.hasTaken(first.parties.attempt, now: Self.now))
        #expect(try store.take(first, now: Self.now))
        #expect(try store.hasTaken(first.parties.attempt, now: Self.now))
        #expect(try !store.take(first, now: Self.now + 1))
        #expect(try store.take(second, now: Self.now + 1))
        // Another process of the profile.
        #expect(try !AttemptStore(path).take(second, now: Self.now + 2))
        #expect(try content.split(separator: "\n").count == 2)
        #expect(try TemporaryDirectory.mode(of: path + "/attempts") == 0o600)
    }

    @Test func itIsRememberedForTwoDays() throws {
        let offer = try offers.make()
        #expect(try store.take(offer, now: Self.now))
        #expect(try !store.take(offer, now: Self.now + 2 * Self.day))
        #expect(try !store.hasTaken(offer.parties.attempt, now: Self.now + 2 * Self.day + 1))
        #expect(try store.take(offer, now: Self.now + 2 * Self.day + 1))
        // A clock that was ahead, and was set right.
        #expect(try !store.take(offer, now: Self.now))
    }

    @Test func tornLinesArePassedOver() throws {
        let offer = try offers.make()
        #expect(try store.take(offer, now: Self.now))
        let good = try content
        for torn in ["", "A", "\u{0}\u{0}\u{0}", "x y\n", good.dropLast(3) + "", " \n\n"] {
            try temporary.write(Data((good + torn).utf8), to: "profile/attempts")
            #expect(try !store.take(offer, now: Self.now))
            let other = try offers.make()
            #expect(try store.take(other, now: Self.now))
            #expect(try !store.take(other, now: Self.now) && !store.take(offer, now: Self.now))
        }
    }

    @Test func theListIsBounded() throws {
        let old = (0..<Defaults.mostOldAttempts).map { _ in "\(AttemptID.random()) 5\n" }.joined()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try temporary.write(Data(old.utf8), to: "profile/attempts")
        let offer = try offers.make()
        #expect(try store.take(offer, now: Self.now))
        #expect(try content == "\(offer.parties.attempt) \(Self.now)\n")
        let recent = (0..<Defaults.mostAttempts).map { "\(AttemptID.random()) \(Self.now + UInt64($0))\n" }
        try temporary.write(Data(recent.joined().utf8), to: "profile/attempts")
        #expect(try store.take(offer, now: Self.now + Self.day))
        let kept = try content
        #expect(kept.split(separator: "\n").count == Defaults.mostAttempts)
        #expect(!kept.contains(recent[0]) && kept.contains(recent[1]) && kept.contains("\(offer.parties.attempt)"))
    }

    @Test func whatManyTakeAtOnceIsTakenOnce() async throws {
        let (store, offer) = (store, try offers.make())
        let taken = try await AtOnce.run(20) { _ in try store.take(offer, now: Self.now) }.count { $0 }
        #expect(taken == 1)
    }
}
