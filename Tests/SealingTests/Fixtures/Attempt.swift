// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

/// One attempt of alice to send to bob, with everything that may be swapped in it.
struct Attempt {
    let alice: Person
    let bob: Person
    let parties: AttemptParties
    let transfer: CarriedTransfer
    let offer: SentOffer
    var generator: SeededGenerator

    static let summary = OfferSummary(names: ["report.pdf"], entries: 1, bytes: 12_345, kind: .file)

    /// - Parameter number: of the attempt, and what is random in it; two numbers are two attempts.
    init(_ number: UInt8 = 1, transfer: UInt8 = 9, time: UInt64 = Clock.november) throws {
        alice = try Person("alice", 1)
        bob = try Person("bob", 2)
        parties = AttemptParties(
            attempt: try #require(AttemptID(bytes: [UInt8](repeating: number, count: 16))), sender: alice.party,
            receiver: bob.party
        )
        self.transfer = try #require(CarriedTransfer(bytes: [UInt8](repeating: transfer, count: 16)))
        generator = SeededGenerator(seed: UInt64(number))
        offer = try OfferSealing.seal(
            Self.summary, of: self.transfer, between: parties, to: bob.prekey(), signedBy: alice.identity, time: time,
            using: &generator
        )
    }

    func opened(_ time: UInt64 = Clock.november) throws -> ReceivedOffer {
        try OfferSealing.open(offer.payload, between: parties, with: bob.ratchet, time: time)
    }

    /// The keys on both sides, the sender's first.
    mutating func keys() throws -> (sender: AttemptKeys, receiver: AttemptKeys) {
        let accept = try AcceptSealing.seal(
            Acceptance(), of: opened(), signedBy: bob.identity, using: &generator
        )
        return (try AcceptSealing.open(accept.payload, to: offer).keys, accept.keys)
    }
}

extension AttemptParties {
    /// The same with something else in it.
    func with(attempt: AttemptID? = nil, sender: Party? = nil, receiver: Party? = nil) -> AttemptParties {
        AttemptParties(
            attempt: attempt ?? self.attempt, sender: sender ?? self.sender, receiver: receiver ?? self.receiver
        )
    }
}

extension Party {
    /// The same identity under another name.
    func named(_ name: String) throws -> Party {
        Party(name: try #require(PeerName(rawValue: name)), identity: identity)
    }
}

/// What someone seals who has all the keys and minds no rules.
enum Forger {
    static func seal(_ plaintext: [UInt8], info: [UInt8], to key: [UInt8]) throws -> [UInt8] {
        var sender = try HPKE.Sender(
            recipientKey: XWingMLKEM768X25519.PublicKey(rawRepresentation: key),
            ciphersuite: .XWingMLKEM768X25519_SHA256_AES_GCM_256, info: Data(info)
        )
        return Array(sender.encapsulatedKey) + Array(try sender.seal(plaintext))
    }

    /// What a receiver finds in a sealed body.
    static func open(_ sealed: ArraySlice<UInt8>, info: [UInt8], with key: ExchangePrivateKey) throws -> [UInt8] {
        var recipient = try HPKE.Recipient(
            privateKey: key, ciphersuite: .XWingMLKEM768X25519_SHA256_AES_GCM_256, info: Data(info),
            encapsulatedKey: Data(sealed.prefix(1120))
        )
        return Array(try recipient.open(Array(sealed.dropFirst(1120))))
    }
}
