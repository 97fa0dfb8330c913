// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
package import NIOCore

/// The sizes of chunks (docs/sealed-format.md, section 7).
package enum Chunk {
    /// The bytes of plaintext in each chunk but the last, which has fewer.
    package static let plaintextLength = 65_536
    /// The bytes of a full chunk.
    package static let length = plaintextLength + tagLength
    static let tagLength = 16
    /// The chunks that one key seals.
    static let chunksOfKey: UInt64 = 1 << 20

    /// The bytes of the body that carries so many bytes of plaintext; nil when that does not fit into 64 bits.
    package static func bodyLength(of plaintext: UInt64) -> UInt64? {
        let chunks = plaintext / UInt64(plaintextLength) + 1
        let (length, overflow) = plaintext.addingReportingOverflow(chunks * UInt64(tagLength))
        return overflow ? nil : length
    }
}

/// Key and nonce of one chunk. Chunks are numbered in their order, by ``ChunkNumbers``; after that each may be sealed
/// or opened on any thread, and several at once.
package struct ChunkCipher: Sendable {
    let key: SymmetricKey
    package let number: UInt64
    package let isLast: Bool

    /// Seals the readable bytes of `buffer`, which then are the chunk. With ``Chunk/tagLength`` bytes of room behind
    /// them nothing is allocated for it.
    package func seal(_ buffer: inout ByteBuffer) throws(SealingError) {
        do {
            let nonce = try AES.GCM.Nonce(data: nonce)
            let box = try unsafe buffer.withUnsafeReadableBytes { plaintext in
                try unsafe AES.GCM.seal(plaintext, using: key, nonce: nonce)
            }
            let start = buffer.readerIndex
            buffer.moveWriterIndex(to: start)
            buffer.writeBytes(box.ciphertext)
            buffer.writeBytes(box.tag)
        } catch {
            throw .malformed(.chunk)
        }
    }

    /// Seals the readable bytes of `plaintext` behind what is in `buffer`, which has to have room for them and the tag
    /// where nothing is to be allocated.
    package func seal(_ plaintext: ByteBuffer, into buffer: inout ByteBuffer) throws(SealingError) {
        do {
            let nonce = try AES.GCM.Nonce(data: nonce)
            let box = try unsafe plaintext.withUnsafeReadableBytes { plaintext in
                try unsafe AES.GCM.seal(plaintext, using: key, nonce: nonce)
            }
            buffer.writeBytes(box.ciphertext)
            buffer.writeBytes(box.tag)
        } catch {
            throw .malformed(.chunk)
        }
    }

    /// Opens the chunk that `buffer` holds, whose readable bytes then are the plaintext. When it throws, nothing in
    /// `buffer` may be used.
    package func open(_ buffer: inout ByteBuffer) throws(SealingError) {
        let chunk = buffer
        buffer.moveWriterIndex(to: buffer.readerIndex)
        try open(chunk, into: &buffer)
    }

    /// Opens `chunk`, and writes its plaintext behind what is in `buffer`, which has to have room for it where nothing
    /// is to be allocated. When it throws, nothing was written.
    package func open(_ chunk: ByteBuffer, into buffer: inout ByteBuffer) throws(SealingError) {
        do {
            let nonce = try AES.GCM.Nonce(data: nonce)
            let plaintext = try unsafe chunk.withUnsafeReadableBytes { chunk in
                let ciphertext = unsafe UnsafeRawBufferPointer(rebasing: chunk.dropLast(Chunk.tagLength))
                let tag = unsafe UnsafeRawBufferPointer(rebasing: chunk.suffix(Chunk.tagLength))
                let box = try unsafe AES.GCM.SealedBox(nonce: nonce, ciphertext: ciphertext, tag: tag)
                return try AES.GCM.open(box, using: key)
            }
            buffer.writeBytes(plaintext)
        } catch {
            throw .doesNotOpen(.chunk)
        }
    }

    private var nonce: [UInt8] {
        var nonce = FieldWriter()
        nonce.raw([0, 0, 0])
        nonce.integer(number)
        nonce.integer(UInt8(isLast ? 1 : 0))
        return nonce.bytes
    }
}
