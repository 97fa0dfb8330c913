// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore

/// The running SHA-256 and length of a content. Both ends have one between the content and the records, so that what
/// is compared is the content itself, however it travels.
struct ContentHash: Sendable {
    private var hash = SHA256()
    /// Bytes so far.
    private(set) var size: UInt64 = 0

    /// Takes the next piece, without copying it.
    mutating func update(_ piece: ByteBuffer) {
        unsafe piece.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
        size += UInt64(piece.readableBytes)
    }

    /// The summary of everything so far.
    func finish() -> ContentSummary {
        ContentSummary(size: size, digest: Array(hash.finalize()))
    }
}
