// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import WSProtocol

@testable import Sealing

/// Two people and one attempt between them: what inputs are sealed with.
struct Place: Sendable {
    private static let time: UInt64 = 1_795_867_200_000
    private static let made = Result { try Place(time: time) }

    let parties: AttemptParties
    let keys: AttemptKeys
    let transfer: CarriedTransfer
    let sender: Curve25519.Signing.PrivateKey
    private let receiver: Curve25519.Signing.PrivateKey
    private let ratchet: PrekeyRatchet
    private let prekey: Prekey
    private let offer: SentOffer
    let opened: ReceivedOffer
    private let pull: PullRequest

    /// The same one each time.
    init() throws { self = try Self.made.get() }

    private init(time: UInt64) throws {
        func identity(_ byte: UInt8) throws -> Curve25519.Signing.PrivateKey {
            try .init(rawRepresentation: Data(repeating: byte, count: 32))
        }
        func party(_ name: String, _ key: Curve25519.Signing.PrivateKey) throws -> Party {
            guard let name = PeerName(rawValue: name),
                let identity = SigningKey(bytes: key.publicKey.rawRepresentation)
            else { throw Broken(description: "the fixture is not one") }
            return Party(name: name, identity: identity)
        }
        (sender, receiver) = (try identity(1), try identity(2))
        let (alice, bob) = (try party("alice", sender), try party("bob", receiver))
        guard let attempt = AttemptID(bytes: [UInt8](repeating: 1, count: 16)),
            let transfer = CarriedTransfer(bytes: [UInt8](repeating: 9, count: 16)),
            let pull = PullRequest(bytes: [UInt8](repeating: 3, count: 16)),
            let ratchet = PrekeyRatchet(
                name: bob.name, epoch: Epoch(milliseconds: time),
                seed: SymmetricKey(data: Data(repeating: 0x57, count: 32))
            )
        else { throw Broken(description: "the fixture is not one") }
        (self.transfer, self.ratchet, self.pull) = (transfer, ratchet, pull)
        parties = AttemptParties(attempt: attempt, sender: alice, receiver: bob)
        prekey = try ratchet.prekey(signedBy: receiver)
        var generator = SeededGenerator(seed: 1)
        let summary = OfferSummary(names: ["report.pdf"], entries: 1, bytes: 12_345, kind: .file)
        offer = try OfferSealing.seal(
            summary, of: transfer, between: parties, to: prekey, signedBy: sender, time: time, using: &generator
        )
        opened = try OfferSealing.open(offer.payload, between: parties, with: ratchet, time: time)
        keys = try AcceptSealing.seal(Acceptance(), of: opened, signedBy: receiver, using: &generator).keys
    }

    /// What the receiver of the offer awaits; of a manifest that it has, when there is one.
    func expectation(goesOnWith digest: ManifestDigest?) -> StreamExpectation {
        digest.map { StreamExpectation(goingOnWith: opened, manifest: $0) } ?? StreamExpectation(of: opened)
    }

    /// What a payload is sealed to, and for.
    private enum Part {
        case offer, accept, request
    }

    private func info(_ part: Part) -> [UInt8] {
        switch part {
        case .offer: return offer.binding.info
        case .accept:
            var info = FieldWriter(.accept)
            info.raw(offer.binding.info)
            info.raw(offer.binding.digest)
            return info.bytes
        case .request:
            var info = FieldWriter(.request)
            info.integer(SealingSuite.byte)
            info.raw(pull.bytes)
            info.short(parties.sender.name.rawValue.utf8)
            info.short(parties.receiver.name.rawValue.utf8)
            info.raw(parties.sender.identity.bytes)
            info.raw(parties.receiver.identity.bytes)
            info.integer(prekey.epoch.number)
            info.raw(prekey.key)
            return info.bytes
        }
    }

    private func header(_ part: Part) -> [UInt8] {
        var payload = FieldWriter()
        payload.integer(SealingSuite.byte)
        guard part != .accept else { return payload.bytes }
        payload.integer(prekey.epoch.number)
        payload.raw(part == .offer ? transfer.bytes : pull.bytes)
        return payload.bytes
    }

    /// Fields signed and sealed by the right people, as the format has it.
    private func sealed(_ fields: [UInt8], _ part: Part) throws -> [UInt8] {
        let (key, identity) =
            part == .accept ? (Array(offer.fresh.publicKey.rawRepresentation), receiver) : (prekey.key, sender)
        return header(part)
            + (try SignedEnvelope.seal(fields, info: info(part), to: key, signedBy: identity, as: .offer))
    }

    func offer(_ fields: [UInt8], _ damage: Damage?) throws {
        let payload = try sealed(fields, .offer)
        for (time, isNow) in [(Self.time, true), (0, false)] {
            let read = try? OfferSealing.open(
                damage?.of(payload) ?? payload, between: parties, with: ratchet, time: time)
            try hold(read == nil || (damage?.damages(payload) != true), "a damaged offer opens")
            guard let read else { continue }
            try hold(isNow || read.time < 1 << 40, "an old offer opens")
            var memory = AttemptMemory()
            try memory.take(read, time: Self.time)
            try hold((try? memory.take(read, time: Self.time)) == nil, "an offer is taken twice")
        }
    }

    func accept(_ fields: [UInt8], _ damage: Damage?) throws {
        let payload = try sealed(fields, .accept)
        let read = try? AcceptSealing.open(damage?.of(payload) ?? payload, to: offer)
        try hold(read == nil || (damage?.damages(payload) != true), "a damaged acceptance opens")
        guard let acceptance = read?.acceptance else { return }
        try hold(acceptance.samples.count <= SealingDefaults.samples, "\(acceptance.samples.count) samples")
        for sample in acceptance.samples { try? sample.check(fields) }
        try SourceSample(file: 0, block: 0, content: fields).check(fields)
        var generator = SeededGenerator(seed: 2)
        let again = try AcceptSealing.seal(acceptance, of: opened, signedBy: receiver, using: &generator)
        try hold(try AcceptSealing.open(again.payload, to: offer).acceptance == acceptance, "\(acceptance) changes")
    }

    func request(_ fields: [UInt8], _ damage: Damage?) throws {
        let payload = try sealed(fields, .request)
        let read = try? RequestSealing.open(
            damage?.of(payload) ?? payload, from: parties.sender, to: parties.receiver, with: ratchet, time: Self.time)
        try hold(read == nil || (damage?.damages(payload) != true), "a damaged request opens")
        guard let read else { return }
        let again = try? RequestSealing.seal(
            read.query, as: read.request, from: parties.sender, to: parties.receiver, prekey, signedBy: sender,
            time: Self.time)
        guard let again else { return }
        let second = try RequestSealing.open(
            again, from: parties.sender, to: parties.receiver, with: ratchet, time: Self.time)
        try hold(second.query == read.query, "\(read.query) changes")
    }

    /// A whole plaintext, sealed to the right key: what stands behind its fields is of the input, too.
    func plaintext(_ plaintext: [UInt8], as part: SealedPart) throws {
        let isOffer = part == .offer
        let key = isOffer ? prekey.key : Array(offer.fresh.publicKey.rawRepresentation)
        let info = info(isOffer ? .offer : .accept)
        let padded = plaintext + [UInt8](repeating: 0, count: (512 - plaintext.count % 512) % 512)
        var hpke = try HPKE.Sender(
            recipientKey: XWingMLKEM768X25519.PublicKey(rawRepresentation: key),
            ciphersuite: .XWingMLKEM768X25519_SHA256_AES_GCM_256, info: Data(info))
        let payload = header(isOffer ? .offer : .accept) + Array(hpke.encapsulatedKey) + Array(try hpke.seal(padded))
        if isOffer {
            let read = try? OfferSealing.open(payload, between: parties, with: ratchet, time: Self.time)
            try hold(read == nil, "a signature was guessed")
        } else {
            try hold((try? AcceptSealing.open(payload, to: offer)) == nil, "a signature was guessed")
        }
    }

    /// Bytes that no client has sealed.
    func raw(_ bytes: [UInt8]) {
        _ = try? OfferSealing.open(bytes, between: parties, with: ratchet, time: Self.time)
        _ = try? OfferSealing.open(header(.offer) + bytes, between: parties, with: ratchet, time: Self.time)
        _ = try? AcceptSealing.open(bytes, to: offer)
        _ = try? RequestSealing.open(
            bytes, from: parties.sender, to: parties.receiver, with: ratchet, time: Self.time)
        _ = try? RequestSealing.open(
            header(.request) + bytes, from: parties.sender, to: parties.receiver, with: ratchet, time: Self.time)
    }
}
