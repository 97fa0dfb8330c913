// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// What a TLS handler has been told to write and has not given to the channel yet: plaintext that waits for the end of
/// the handshake, and the promises of the ciphertext that waits in the session for a flush.
///
/// No method completes a promise, whose callbacks may write to the handler that owns this.
struct TLSOutbound {
    /// Plaintext with the promise of its write.
    typealias Write = (bytes: ByteBuffer, promise: EventLoopPromise<Void>?)

    private var early: [Write] = []
    private var earlyBytes = 0
    private var flushesEarly = false
    /// Succeeds when the ciphertext that waits has left.
    private var gathered: EventLoopPromise<Void>?

    /// A handler wrote before the handshake was complete. Returns false if that is more than may wait.
    mutating func hold(_ write: Write) -> Bool {
        guard earlyBytes + write.bytes.readableBytes <= TLSDefaults.earlyWriteLimit else { return false }
        earlyBytes += write.bytes.readableBytes
        early.append(write)
        return true
    }

    /// A handler flushed before the handshake was complete.
    mutating func flushWhenOpen() { flushesEarly = true }

    /// Takes out what was written before the handshake was complete, and whether it was flushed.
    mutating func takeEarly() -> (writes: [Write], isFlushed: Bool) {
        defer { (early, earlyBytes, flushesEarly) = ([], 0, false) }
        return (early, flushesEarly)
    }

    /// Adds the promise of a write whose ciphertext waits for a flush.
    mutating func gather(_ promise: EventLoopPromise<Void>?) { gathered.setOrCascade(to: promise) }

    /// Takes out the promise of all ciphertext that waits for a flush.
    mutating func takeGathered() -> EventLoopPromise<Void>? { gathered.take() }

    /// Forgets everything. Returns the promises, which have to be failed.
    mutating func removeAll() -> [EventLoopPromise<Void>] {
        defer { (early, earlyBytes, gathered) = ([], 0, nil) }
        return early.compactMap(\.promise) + (gathered.map { [$0] } ?? [])
    }
}
