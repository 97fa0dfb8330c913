// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
import WSProtocol

/// From where a transfer goes on.
package struct TransferPosition: Hashable, Sendable {
    /// How many files of the manifest the receiver has whole and durable, or does not want, without a gap from the
    /// first.
    package var file: UInt64
    /// How much of the next one is durable.
    package var offset: UInt64

    package static let beginning = TransferPosition(file: 0, offset: 0)

    package init(file: UInt64, offset: UInt64) {
        self.file = file
        self.offset = offset
    }
}

/// The hash of a block that the receiver has, for the sender to compare with its own.
package struct SourceSample: Hashable, Sendable {
    /// Which file of the manifest, from 0.
    package let file: UInt64
    /// Which 64 KiB of it, from 0.
    package let block: UInt64
    /// SHA-256 of them.
    package let digest: [UInt8]

    /// The bytes of a block; the last one of a file may be shorter.
    package static let blockLength = 65_536
    static let encodedLength = 48

    package init(file: UInt64, block: UInt64, content: [UInt8]) {
        self.init(file: file, block: block, digest: KeyDerivation.hash(content))
    }

    init(file: UInt64, block: UInt64, digest: [UInt8]) {
        self.file = file
        self.block = block
        self.digest = digest
    }

    /// Throws unless `content`, which the sender has there, is the same.
    package func check(_ content: [UInt8]) throws(SealingError) {
        guard KeyDerivation.hash(content) == digest else { throw .sourceChanged }
    }
}

/// What a receiver says in `accept`.
package struct Acceptance: Hashable, Sendable {
    package var position: TransferPosition
    /// Whether notes will say which files are wanted; otherwise all are.
    package var wantsByNote: Bool
    package var samples: [SourceSample]

    package init(position: TransferPosition = .beginning, wantsByNote: Bool = false, samples: [SourceSample] = []) {
        self.position = position
        self.wantsByNote = wantsByNote
        self.samples = samples
    }
}

/// Seals and opens acceptances (docs/sealed-format.md, section 5); from then on both sides have the keys of the
/// attempt.
package enum AcceptSealing {
    private static let randomLength = 32

    /// Seals an acceptance to the offer's fresh key.
    ///
    /// - Parameter generator: a cryptographic one, outside tests.
    /// - Returns: what the wire's `accept` carries, and the keys.
    package static func seal(
        _ acceptance: Acceptance, of offer: ReceivedOffer, signedBy identity: Curve25519.Signing.PrivateKey,
        using generator: inout some RandomNumberGenerator
    ) throws(SealingError) -> (payload: [UInt8], keys: AttemptKeys) {
        let random = RandomBytes.make(randomLength, using: &generator)
        var samples = FieldWriter()
        for sample in acceptance.samples.prefix(SealingDefaults.samples) {
            samples.integer(sample.file)
            samples.integer(sample.block)
            samples.raw(sample.digest)
        }
        var fields = FieldWriter()
        fields.integer(acceptance.position.file)
        fields.integer(acceptance.position.offset)
        fields.integer(UInt8(acceptance.wantsByNote ? 1 : 0))
        fields.raw(random)
        fields.long(samples.bytes)
        let payload =
            [SealingSuite.byte]
            + (try SignedEnvelope.seal(
                fields.bytes, info: info(offer.binding), to: offer.fresh, signedBy: identity, as: .accept
            ))
        return (payload, keys(offer.binding, payload, offer.random + random))
    }

    /// Opens the answer to `offer`.
    package static func open(
        _ payload: [UInt8], to offer: SentOffer
    ) throws(SealingError) -> (acceptance: Acceptance, keys: AttemptKeys) {
        var header = FieldReader(payload)
        try SignedEnvelope.checkSuite(&header, of: .accept)
        let info = info(offer.binding)
        let plaintext = try SignedEnvelope.open(header.rest, info: info, with: offer.fresh, as: .accept)
        var fields = FieldReader(plaintext)
        guard let file = fields.integer(UInt64.self), let offset = fields.integer(UInt64.self),
            let wants = fields.integer(UInt8.self), wants <= 1, let random = fields.raw(randomLength),
            let samples = fields.long(atMost: SealingDefaults.samples * SourceSample.encodedLength).flatMap(read)
        else { throw .malformed(.accept) }
        try SignedEnvelope.verify(
            plaintext, read: fields, info: info, by: offer.parties.receiver.identity, as: .accept
        )
        let acceptance = Acceptance(
            position: TransferPosition(file: file, offset: offset), wantsByNote: wants == 1, samples: samples
        )
        return (acceptance, keys(offer.binding, payload, offer.random + random))
    }

    private static func read(_ bytes: [UInt8]) -> [SourceSample]? {
        guard bytes.count % SourceSample.encodedLength == 0 else { return nil }
        var reader = FieldReader(bytes)
        var samples: [SourceSample] = []
        while let file = reader.integer(UInt64.self), let block = reader.integer(UInt64.self),
            let digest = reader.raw(KeyDerivation.hashLength)
        {
            samples.append(SourceSample(file: file, block: block, digest: digest))
        }
        return samples
    }

    private static func keys(_ offer: OfferBinding, _ payload: [UInt8], _ randoms: [UInt8]) -> AttemptKeys {
        AttemptKeys(offer: offer.digest, accept: KeyDerivation.hash(payload), randoms: randoms)
    }

    private static func info(_ offer: OfferBinding) -> [UInt8] {
        var info = FieldWriter(.accept)
        info.raw(offer.info)
        info.raw(offer.digest)
        return info.bytes
    }
}
