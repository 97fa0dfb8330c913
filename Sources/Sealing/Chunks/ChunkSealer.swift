// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A chunk on its way through a thread that seals or opens it.
package struct ChunkWork: Sendable {
    package let cipher: ChunkCipher
    /// The plaintext, or the chunk.
    package var buffer: ByteBuffer
}

/// Cuts a stream's plaintext into chunks, in order; the chunks themselves are sealed by ``ChunkCipher/seal(_:)``
/// wherever there is time for it.
package struct ChunkSealer: Sendable {
    private var numbers: ChunkNumbers
    private let allocator = ByteBufferAllocator()
    /// The next chunk's plaintext so far: never a full one.
    private var pending: ByteBuffer

    package init(of keys: AttemptKeys) {
        numbers = ChunkNumbers(of: keys)
        pending = allocator.buffer(capacity: Chunk.length)
    }

    /// The bytes that the next chunk has room for, 1 at least: what to read of a file at once.
    package var room: Int { Chunk.plaintextLength - pending.readableBytes }

    /// Lets `body` write at most ``room`` bytes of plaintext to where they are sealed. To be followed by
    /// ``takeFull()``.
    package mutating func write<Result>(_ body: (inout ByteBuffer) throws -> Result) rethrows -> Result {
        try body(&pending)
    }

    /// Takes as much of `plaintext` as the next chunk has room for. To be followed by ``takeFull()``, and called again
    /// until `plaintext` is empty.
    package mutating func append(_ plaintext: inout ByteBuffer) {
        if var piece = plaintext.readSlice(length: min(room, plaintext.readableBytes)) { pending.writeBuffer(&piece) }
    }

    /// The next chunk, if it is full.
    package mutating func takeFull() throws(SealingError) -> ChunkWork? { room > 0 ? nil : try close() }

    /// The last chunk, which may be an empty one.
    package mutating func finish() throws(SealingError) -> ChunkWork { try close() }

    private mutating func close() throws(SealingError) -> ChunkWork {
        let cipher = try numbers.next(plaintext: pending.readableBytes)
        defer { pending = allocator.buffer(capacity: Chunk.length) }
        return ChunkWork(cipher: cipher, buffer: pending)
    }
}
