// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// What a TLS handler was told to write before the handshake was complete.
struct TLSEarlyWrites {
    /// Plaintext with the promise of its write.
    typealias Write = (bytes: ByteBuffer, promise: EventLoopPromise<Void>?)

    /// In the order in which they were written.
    private(set) var writes: [Write] = []
    /// Whether they were flushed.
    private(set) var isFlushed = false
    private var length = 0

    /// Keeps a write. Returns false if that is more than may wait.
    mutating func hold(_ write: Write) -> Bool {
        guard length + write.bytes.readableBytes <= TLSDefaults.earlyWriteLimit else { return false }
        length += write.bytes.readableBytes
        writes.append(write)
        return true
    }

    /// What was written so far is to be sent as soon as it can be.
    mutating func flush() { isFlushed = true }
}
