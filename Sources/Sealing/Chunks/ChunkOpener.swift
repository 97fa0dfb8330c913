// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Cuts the body of a stream, in whatever pieces it comes, into chunks, in order; the chunks themselves are opened by
/// ``ChunkCipher/open(_:)`` wherever there is time for it. Nothing of a chunk is to be used before it was opened, and
/// all before it.
package struct ChunkOpener: Sendable {
    private var numbers: ChunkNumbers
    private var pending: ByteBuffer
    /// Whether the chunk in `pending` was returned.
    private var isReturned = false

    package init(of keys: AttemptKeys) {
        numbers = ChunkNumbers(of: keys)
        pending = ByteBufferAllocator().buffer(capacity: Chunk.length)
    }

    /// Takes as much of `bytes` as belongs to the next chunk, and returns the chunk when it is whole. To be called
    /// again until `bytes` is empty. A chunk that came in one piece is not copied; the memory of one that did not is
    /// used for the next, unless the caller has kept it.
    package mutating func append(_ bytes: inout ByteBuffer) throws(SealingError) -> ChunkWork? {
        begin()
        let missing = Chunk.length - pending.readableBytes
        guard var piece = bytes.readSlice(length: min(missing, bytes.readableBytes)) else { return nil }
        if piece.readableBytes == Chunk.length {
            return ChunkWork(cipher: try numbers.next(plaintext: Chunk.plaintextLength), buffer: piece)
        }
        pending.writeBuffer(&piece)
        guard pending.readableBytes == Chunk.length else { return nil }
        let cipher = try numbers.next(plaintext: Chunk.plaintextLength)
        isReturned = true
        return ChunkWork(cipher: cipher, buffer: pending)
    }

    /// The body has ended: the last chunk. Throws when there is none, because the stream was cut between two chunks or
    /// in the tag of one; elsewhere, what is left does not open.
    package mutating func finish() throws(SealingError) -> ChunkWork {
        begin()
        guard pending.readableBytes >= Chunk.tagLength, !numbers.isComplete else { throw .cut }
        let cipher = try numbers.next(plaintext: pending.readableBytes - Chunk.tagLength)
        isReturned = true
        return ChunkWork(cipher: cipher, buffer: pending)
    }

    private mutating func begin() {
        guard isReturned else { return }
        pending.clear()
        isReturned = false
    }
}
