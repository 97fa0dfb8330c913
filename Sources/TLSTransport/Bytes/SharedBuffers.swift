// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Large buffers that the connections of one event loop use in turn: for a read, its decryption, and the write that
/// follows.
///
/// All of that happens in one call, so one set of buffers serves any number of connections, and can be larger than what
/// each of them might keep. What a channel could not send at once stays with that channel, and is replaced here by new
/// memory. `TLSHandler.share` makes a connection use it. Bound to its event loop.
package final class SharedBuffers {
    /// What the next read of a socket goes into; nil while a channel has it.
    private var receiveBuffer: ByteBuffer?
    /// What was decrypted last.
    var plaintext = ByteBuffer()
    /// Pieces of ciphertext that channels have got and most likely sent, the oldest first.
    private var pieces: [ByteBuffer] = []

    /// Makes an empty set: memory is allocated as it is needed.
    package init() {}

    /// Takes the buffer for one read of a socket, of at most `limit` bytes.
    ///
    /// It is given back when its ciphertext is decrypted. If it is not here, a new one is made.
    package func takeReceiveBuffer(limit: Int) -> ByteBuffer {
        guard limit <= TLSDefaults.sharedReceiveLength else { return Self.make(limit) }
        // Asked in place: a copy would be a second owner.
        let isUnused = receiveBuffer?.modifyIfUniquelyOwned { $0.clear() } != nil
        let kept = receiveBuffer.take()
        var buffer = (isUnused ? kept : nil) ?? Self.make(TLSDefaults.sharedReceiveLength)
        // A socket fills all that is writable: the limit is kept by leaving out the beginning.
        let start = buffer.capacity - limit
        buffer.moveWriterIndex(to: start)
        buffer.moveReaderIndex(to: start)
        return buffer
    }

    /// Gives back the buffer of a read.
    func giveBack(_ buffer: ByteBuffer) {
        guard buffer.capacity == TLSDefaults.sharedReceiveLength else { return }
        receiveBuffer = buffer
    }

    /// Takes memory for a piece of ciphertext.
    func takePiece(capacity: Int) -> ByteBuffer {
        guard !pieces.isEmpty, capacity <= TLSDefaults.sharedPieceCapacity else {
            return Self.make(max(capacity, TLSDefaults.sharedPieceCapacity))
        }
        // Asked in place, as above.
        for index in pieces.indices where pieces[index].modifyIfUniquelyOwned({ $0.clear() }) != nil {
            return pieces.remove(at: index)
        }
        // All are waiting in channels, the oldest most likely in one that is stalled.
        pieces.removeFirst()
        return Self.make(TLSDefaults.sharedPieceCapacity)
    }

    /// Remembers a piece that is on its way to a channel, to use its memory again when the channel is done with it.
    func keep(_ piece: ByteBuffer) {
        guard pieces.count < TLSDefaults.sharedPieces, piece.capacity == TLSDefaults.sharedPieceCapacity else { return }
        pieces.append(piece)
    }

    private static func make(_ capacity: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: capacity) }
}

@available(*, unavailable)
extension SharedBuffers: Sendable {}
