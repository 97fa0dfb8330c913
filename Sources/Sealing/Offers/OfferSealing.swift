// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
import WSProtocol

/// What a sender keeps of an offer until it is answered. Forgotten with the attempt: it holds the private half of the
/// key that the answer is sealed to.
package struct SentOffer: Sendable {
    /// What the wire's `offer` carries.
    package let payload: [UInt8]
    package let parties: AttemptParties
    let binding: OfferBinding
    let fresh: ExchangePrivateKey
    let random: [UInt8]
}

/// An offer that was opened, and is from the one whom it should be from.
package struct ReceivedOffer: Sendable {
    package let parties: AttemptParties
    package let transfer: CarriedTransfer
    /// When it was made, by the sender's clock: milliseconds since 1970.
    package let time: UInt64
    package let summary: OfferSummary
    let binding: OfferBinding
    let fresh: [UInt8]
    let random: [UInt8]
    /// All names that it has to have at its top, in the order of a manifest, where the receiver has asked for it: its
    /// summary tells the first only.
    package var asked: [EntryName]? = nil
}

/// What an acceptance is bound to: all of the offer.
struct OfferBinding: Hashable, Sendable {
    let info: [UInt8]
    /// Of its payload.
    let digest: [UInt8]
}

/// Seals and opens offers (docs/sealed-format.md, section 4).
package enum OfferSealing {
    private static let randomLength = 32

    /// Seals an offer to the receiver's prekey, which is verified first.
    ///
    /// - Parameter time: now, in milliseconds since 1970.
    /// - Parameter generator: a cryptographic one, outside tests.
    package static func seal(
        _ summary: OfferSummary, of transfer: CarriedTransfer, between parties: AttemptParties, to prekey: Prekey,
        signedBy identity: Curve25519.Signing.PrivateKey, time: UInt64,
        using generator: inout some RandomNumberGenerator
    ) throws(SealingError) -> SentOffer {
        try prekey.verify(of: parties.receiver, time: time)
        guard let json = summary.encoded else { throw .malformed(.offer) }
        let seed = SymmetricKey(data: RandomBytes.make(PrekeyRatchet.seedLength, using: &generator))
        let fresh = try ExchangeKeys.privateKey(seed: seed)
        let random = RandomBytes.make(randomLength, using: &generator)
        var fields = FieldWriter()
        fields.integer(time)
        fields.raw(fresh.publicKey.rawRepresentation)
        fields.raw(random)
        fields.long(json)
        let info = info(transfer, parties, prekey.epoch, prekey.key)
        var payload = FieldWriter()
        payload.integer(SealingSuite.byte)
        payload.integer(prekey.epoch.number)
        payload.raw(transfer.bytes)
        payload.raw(
            try SignedEnvelope.seal(fields.bytes, info: info, to: prekey.key, signedBy: identity, as: .offer)
        )
        return SentOffer(
            payload: payload.bytes, parties: parties,
            binding: OfferBinding(info: info, digest: KeyDerivation.hash(payload.bytes)), fresh: fresh, random: random
        )
    }

    /// Opens what the wire's `ring` carried.
    ///
    /// - Parameter parties: with the attempt and the names that the relay gave, and the *pinned* identity of the
    ///   sender.
    /// - Parameter time: now, in milliseconds since 1970.
    package static func open(
        _ payload: [UInt8], between parties: AttemptParties, with ratchet: PrekeyRatchet, time now: UInt64
    ) throws(SealingError) -> ReceivedOffer {
        var header = FieldReader(payload)
        try SignedEnvelope.checkSuite(&header, of: .offer)
        guard let epoch = header.integer(UInt32.self).map(Epoch.init(number:)),
            let transfer = header.raw(CarriedTransferKind.length).flatMap({ CarriedTransfer(bytes: $0) })
        else { throw .malformed(.offer) }
        let info = info(transfer, parties, epoch, try ratchet.publicKey(of: epoch))
        let plaintext = try SignedEnvelope.open(
            header.rest, info: info, with: try ratchet.privateKey(of: epoch), as: .offer
        )
        var fields = FieldReader(plaintext)
        guard let time = fields.integer(UInt64.self), let fresh = fields.raw(Prekey.keyLength),
            let random = fields.raw(randomLength), let json = fields.long(atMost: SealingDefaults.summaryBytes)
        else { throw .malformed(.offer) }
        try SignedEnvelope.verify(plaintext, read: fields, info: info, by: parties.sender.identity, as: .offer)
        try Freshness.check(time, now: now)
        guard let summary = OfferSummary(json) else { throw .malformed(.offer) }
        return ReceivedOffer(
            parties: parties, transfer: transfer, time: time, summary: summary,
            binding: OfferBinding(info: info, digest: KeyDerivation.hash(payload)), fresh: fresh, random: random
        )
    }

    private static func info(
        _ transfer: CarriedTransfer, _ parties: AttemptParties, _ epoch: Epoch, _ prekey: [UInt8]
    ) -> [UInt8] {
        var info = FieldWriter(.offer)
        info.integer(SealingSuite.byte)
        info.raw(transfer.bytes)
        info.raw(parties.attempt.bytes)
        info.short(parties.sender.name.rawValue.utf8)
        info.short(parties.receiver.name.rawValue.utf8)
        info.raw(parties.sender.identity.bytes)
        info.raw(parties.receiver.identity.bytes)
        info.integer(epoch.number)
        info.raw(prekey)
        return info.bytes
    }
}
