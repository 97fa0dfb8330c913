// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import NIOCore

/// A manifest of this computer's own. It takes the memory of the bytes in which it is sent and hardly more, in pieces,
/// so that it grows without being copied.
package struct WrittenManifest: Sendable {
    /// The next entry of a walk through the manifest.
    package struct Cursor: Hashable, Sendable {
        fileprivate var piece = 0
        fileprivate var offset = 0
        fileprivate var number: UInt32 = 0

        package init() {}
    }

    private var encoder = ManifestEncoder()
    /// Each holds whole records.
    package private(set) var pieces: [ByteBuffer] = []

    private static let pieceLength = 256 * 1024  // An initial buffer size: what is not filled costs no memory.

    package init() {}

    /// How many files it has.
    package var files: UInt64 { encoder.files }
    /// How many entries.
    package var entries: UInt64 { encoder.entries }
    /// The sizes of the files, together; nil when one is not known.
    package var bytes: UInt64? { encoder.bytes }
    /// What its end signs.
    package var digest: ManifestDigest { encoder.manifestDigest }

    /// The bytes that it takes at the beginning of a stream: the form, the entries and the end.
    package var streamLength: UInt64 {
        let end = StreamRecordKind.headLength + KeyDerivation.hashLength + Signing.length
        return pieces.reduce(UInt64(1 + end)) { sum, piece in sum + UInt64(piece.readableBytes) }
    }

    /// The bytes of the beginning of a stream whose receiver has the manifest.
    package static let digestFormLength = UInt64(1 + KeyDerivation.hashLength)

    /// Adds the next entry; throws, with nothing added, what a receiver would refuse.
    package mutating func append(_ entry: ManifestEntry) throws(SealingError) {
        if let last = pieces.indices.last, pieces[last].writableBytes >= Self.longestRecord {
            try encoder.write(entry, into: &pieces[last])
        } else {
            var piece = ByteBufferAllocator().buffer(capacity: Self.pieceLength)
            try encoder.write(entry, into: &piece)
            pieces.append(piece)
        }
    }

    /// Writes the end.
    package func writeEnd(
        of transfer: CarriedTransfer, signedBy identity: Curve25519.Signing.PrivateKey, into buffer: inout ByteBuffer
    ) throws(SealingError) {
        try ManifestEncoder.writeEnd(digest, of: transfer, signedBy: identity, into: &buffer)
    }

    /// The entry at `cursor`, which then is at the one behind it; nil at the end.
    package func next(_ cursor: inout Cursor) -> EntryOutline? {
        while cursor.piece < pieces.count {
            let piece = pieces[cursor.piece]
            if let (outline, end) = EntryOutline.read(from: piece, at: cursor.offset, number: cursor.number) {
                cursor.offset = end
                cursor.number += 1
                return outline
            }
            cursor.piece += 1
            cursor.offset = 0
        }
        return nil
    }

    private static let longestRecord = 5 * 1024  // More than a name and a target take, with everything around them.
}

/// What a walk through a manifest needs to know of an entry. Its name is a view of the manifest's own memory.
package struct EntryOutline: Sendable {
    /// What it is.
    package enum Kind: Hashable, Sendable {
        case folder
        /// - size: nil when it is not known.
        case file(size: UInt64?)
        case link
    }

    package let kind: Kind
    /// Which entry it is, from 0.
    package let number: UInt32
    /// The number of its folder; nil at the top.
    package let parent: UInt32?
    package let name: ByteBufferView

    /// Where the fields of a record are that `ManifestEntry` writes, from its kind.
    private enum Offset {
        static let length = 1
        static let parent = StreamRecordKind.headLength + 15
        static let nameLength = parent + 4
        static let name = nameLength + 2
    }

    /// Reads the record at `offset`; returns where the next one is as well. Nil when there is none.
    fileprivate static func read(from piece: ByteBuffer, at offset: Int, number: UInt32) -> (EntryOutline, Int)? {
        guard let kind = piece.getInteger(at: offset, as: UInt8.self).flatMap(StreamRecordKind.init),
            let length = piece.getInteger(at: offset + Offset.length, as: UInt32.self),
            let parent = piece.getInteger(at: offset + Offset.parent, as: UInt32.self),
            let nameLength = piece.getInteger(at: offset + Offset.nameLength, as: UInt16.self),
            let name = piece.viewBytes(at: offset + Offset.name, length: Int(nameLength))
        else { return nil }
        let behind = offset + Offset.name + Int(nameLength)
        let outlined: Kind
        switch kind {
        case .folder: outlined = .folder
        case .link: outlined = .link
        case .file:
            guard let size = piece.getInteger(at: behind, as: UInt64.self) else { return nil }
            outlined = .file(size: size == .max ? nil : size)
        case .manifestEnd, .data, .hole, .fileEnd, .unreadable, .padding, .end: return nil
        }
        let outline = EntryOutline(
            kind: outlined, number: number, parent: parent == 0 ? nil : parent - 1, name: name
        )
        return (outline, offset + StreamRecordKind.headLength + Int(length))
    }
}
