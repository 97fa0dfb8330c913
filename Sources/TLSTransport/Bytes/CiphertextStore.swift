// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// The ciphertext of one connection on its way between the channel and OpenSSL: bytes in, bytes out, no TLS.
///
/// `ByteBIO` gives OpenSSL access to it. Owned by one `TLSConnection`, on one thread at a time.
final class CiphertextStore {
    /// What came from the peer and OpenSSL has not taken yet.
    private(set) var inbound = ByteBuffer()
    /// What OpenSSL made for the peer and the channel has not got yet.
    private(set) var outbound = ByteBuffer()
    /// Where large buffers come from and go to; nil for a connection that has its own.
    private(set) var shared: SharedBuffers?
    /// Whether `outbound` is one of those.
    private var isOutboundShared = false
    /// How much went to the channel at once last time: as much memory is set aside at once next time.
    private var lastTaken = 0
    /// The first byte that ever came from the peer: it tells whether the peer speaks TLS at all.
    private(set) var firstByte: UInt8?

    /// Takes ciphertext from the channel. It is not copied unless something is left over from before.
    func append(_ ciphertext: ByteBuffer) {
        if firstByte == nil { firstByte = ciphertext.readableBytesView.first }
        if inbound.readableBytes == 0 {
            inbound = ciphertext
        } else {
            inbound.writeImmutableBuffer(ciphertext)
        }
    }

    /// Lets go of the channel's buffer once it is used up, so that the channel can use it for its next read.
    func releaseInbound() {
        guard inbound.readableBytes == 0 else { return }
        shared?.giveBack(inbound)
        inbound = ByteBuffer()
    }

    /// Forgets what OpenSSL has not taken yet.
    func dropInbound() {
        inbound.moveReaderIndex(to: inbound.writerIndex)
        releaseInbound()
    }

    /// Takes large buffers from `buffers` from now on, or has its own again.
    func share(_ buffers: SharedBuffers?) {
        shared = buffers
        if outbound.readableBytes == 0 { outbound = ByteBuffer() }
    }

    /// Makes room for `count` bytes of ciphertext, so that writing does not grow the buffer bit by bit.
    ///
    /// The memory of what the channel has already written is used again, if the channel has let go of it.
    func reserveOutbound(_ count: Int) {
        if let shared {
            guard outbound.writableBytes < count else { return }
            let total = outbound.readableBytes + count
            isOutboundShared = total >= TLSDefaults.sharedPieceMinimum
            var larger =
                isOutboundShared
                ? shared.takePiece(capacity: total) : ByteBufferAllocator().buffer(capacity: total)
            larger.writeImmutableBuffer(outbound)
            outbound = larger
        } else if outbound.readableBytes == 0 {
            outbound.clear(minimumCapacity: max(count, lastTaken))
        } else {
            outbound.reserveCapacity(minimumWritableBytes: count)
        }
    }

    /// Gives away what is there for the peer, or nil. `keepingMemory` keeps the buffer for its next use.
    func takeOutbound(keepingMemory: Bool) -> ByteBuffer? {
        guard outbound.readableBytes > 0 else { return nil }
        let taken = outbound
        if let shared {
            if isOutboundShared { shared.keep(taken) }
            isOutboundShared = false
            outbound = ByteBuffer()
        } else if keepingMemory {
            lastTaken = taken.readableBytes
            outbound.moveReaderIndex(to: outbound.writerIndex)
        } else {
            outbound = ByteBuffer()
        }
        return taken
    }

    /// OpenSSL wants ciphertext: copies at most `destination.count` bytes; returns how many.
    func read(into destination: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(destination.count, inbound.readableBytes)
        guard count > 0 else { return 0 }
        unsafe inbound.withUnsafeReadableBytes { source in
            unsafe destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
        }
        inbound.moveReaderIndex(forwardBy: count)
        return count
    }

    /// OpenSSL has made ciphertext.
    func write(_ source: UnsafeRawBufferPointer) {
        if outbound.readableBytes == 0 { outbound.clear(minimumCapacity: source.count) }
        unsafe outbound.writeBytes(source)
    }
}
