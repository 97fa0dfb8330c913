// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
package import NIOCore
import WSProtocol

/// The SHA-256 of a manifest's entries, which its end signs.
package typealias ManifestDigest = [UInt8]

/// Writes the manifest of a stream, entry by entry; the memory it needs does not grow with them.
package struct ManifestEncoder: Sendable {
    private var order = EntryOrder()
    private var digest = SHA256()

    package init() {}

    /// How many files were written.
    package var files: UInt64 { order.files }
    /// How many entries.
    package var entries: UInt64 { order.count }
    /// The sizes of the files, together; nil when one is not known.
    package var bytes: UInt64? { order.bytes }
    /// The digest of what was written so far.
    package var soFar: ManifestDigest { Array(digest.finalize()) }

    /// Writes the next entry behind what is in `buffer`; throws, with nothing written, what a receiver would refuse.
    package mutating func write(_ entry: ManifestEntry, into buffer: inout ByteBuffer) throws(SealingError) {
        guard let body = entry.body else { throw .manifest(.fields(entry: order.count)) }
        do { try order.add(entry) } catch { throw .manifest(error) }
        let record = StreamEncoder.record(entry.record, body)
        digest.update(data: record)
        buffer.writeBytes(record)
    }

    /// Writes the end, and returns what it signs.
    package func finish(
        of transfer: CarriedTransfer, signedBy identity: Curve25519.Signing.PrivateKey, into buffer: inout ByteBuffer
    ) throws(SealingError) -> ManifestDigest {
        let digest = manifestDigest
        try Self.writeEnd(digest, of: transfer, signedBy: identity, into: &buffer)
        return digest
    }

    /// What the end signs, if it comes next.
    var manifestDigest: ManifestDigest { Array(digest.finalize()) }

    /// Writes the end of a manifest of that digest.
    static func writeEnd(
        _ digest: ManifestDigest, of transfer: CarriedTransfer, signedBy identity: Curve25519.Signing.PrivateKey,
        into buffer: inout ByteBuffer
    ) throws(SealingError) {
        let signature = try Signing.sign(ManifestSignature.signed(digest, transfer), with: identity)
        buffer.writeBytes(StreamEncoder.record(.manifestEnd, digest + signature))
    }
}

/// What ties a manifest to a transfer.
enum ManifestSignature {
    static func signed(_ digest: ManifestDigest, _ transfer: CarriedTransfer) -> [UInt8] {
        var writer = FieldWriter(.manifest)
        writer.raw(transfer.bytes)
        writer.raw(digest)
        return writer.bytes
    }
}
