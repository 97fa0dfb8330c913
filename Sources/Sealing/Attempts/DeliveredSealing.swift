// SPDX-License-Identifier: Apache-2.0

/// What a receiver has verified, made durable and put under its final names.
package struct DeliveredSummary: Hashable, Sendable {
    /// The digest of the manifest.
    package let manifest: [UInt8]
    package let entries: UInt64
    /// The lengths of the files, together.
    package let bytes: UInt64

    package init(manifest: [UInt8], entries: UInt64, bytes: UInt64) {
        self.manifest = manifest
        self.entries = entries
        self.bytes = bytes
    }
}

/// Seals and opens the one `delivered` of an attempt (docs/sealed-format.md, section 6).
package enum DeliveredSealing {
    private static let nonce = [UInt8](repeating: 0, count: 12)

    /// What the wire's `delivered` carries.
    package static func seal(_ summary: DeliveredSummary, with keys: AttemptKeys) throws(SealingError) -> [UInt8] {
        guard summary.manifest.count == KeyDerivation.hashLength else { throw .malformed(.delivered) }
        var fields = FieldWriter()
        fields.raw(summary.manifest)
        fields.integer(summary.entries)
        fields.integer(summary.bytes)
        return [SealingSuite.byte]
            + (try SealedBytes.seal(fields.bytes, with: keys.delivered, nonce: nonce, as: .delivered))
    }

    /// What the receiver says that it has.
    package static func open(_ payload: [UInt8], with keys: AttemptKeys) throws(SealingError) -> DeliveredSummary {
        var reader = FieldReader(payload)
        guard let suite = reader.integer(UInt8.self) else { throw .malformed(.delivered) }
        guard suite == SealingSuite.byte else { throw .otherSuite(suite) }
        let plaintext = try SealedBytes.open(reader.rest, with: keys.delivered, nonce: nonce, as: .delivered)
        var fields = FieldReader(plaintext)
        guard let manifest = fields.raw(KeyDerivation.hashLength), let entries = fields.integer(UInt64.self),
            let bytes = fields.integer(UInt64.self), fields.rest.isEmpty
        else { throw .malformed(.delivered) }
        return DeliveredSummary(manifest: manifest, entries: entries, bytes: bytes)
    }
}
