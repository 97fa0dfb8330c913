// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient

/// Reads a stream's plaintext and seals it, many chunks at a time. Blocks; one caller at a time.
final class ChunkFilling: Sendable {
    /// Sealed chunks, in one piece: TLS makes full records of what comes in one piece.
    struct Batch: Sendable {
        var bytes: ByteBuffer
        /// Whether the next batch may be read at once.
        var goesOn = true
        var isLast = false
        /// The bytes of content behind it.
        var contentBytes: UInt64 = 0
    }

    private let reader: SourceReader
    private let sealer: Mutex<ChunkSealer>

    init(_ reader: SourceReader, keys: AttemptKeys) {
        self.reader = reader
        sealer = Mutex(ChunkSealer(of: keys))
    }

    /// How much the receiver has when it has everything it wants.
    var sent: DeliveredCounts { reader.delivered }

    /// Takes the checksums of what the receiver has had before, where they are asked for. Blocks.
    func completeChecksums() { reader.completeChecksums() }

    /// The receiver has said which of the next files it wants.
    func want(_ note: WantedNote) throws(ClientError) {
        do throws(FileError) { try reader.want(note.runs, isLast: note.isLast) } catch { throw .file(error) }
    }

    /// The next chunks.
    func next(on _: BlockingThread) throws -> Batch {
        try sealer.withLock { sealer in
            var batch = Batch(bytes: ByteBufferAllocator().buffer(capacity: Defaults.sealedBatch * Chunk.length))
            let end = (Defaults.sealedBatch - 1) * Chunk.length
            while batch.bytes.readableBytes <= end {
                let step = try sealer.write { [reader, room = sealer.room] buffer in
                    try reader.read(into: &buffer, room: room)
                }
                try Self.takeFull(&sealer, into: &batch)
                guard step != .more else { continue }
                if step == .end {
                    try sealer.finish().cipher(into: &batch.bytes)
                    (batch.goesOn, batch.isLast) = (false, true)
                } else {
                    try Self.fillUp(&sealer, into: &batch)
                    batch.goesOn = step == .flush
                }
                break
            }
            batch.contentBytes = reader.contentBytes
            return batch
        }
    }

    private static func takeFull(_ sealer: inout ChunkSealer, into batch: inout Batch) throws(SealingError) {
        if let chunk = try sealer.takeFull() { try chunk.cipher(into: &batch.bytes) }
    }

    /// Fills the chunk that has begun, so that it can be sent.
    private static func fillUp(_ sealer: inout ChunkSealer, into batch: inout Batch) throws(SealingError) {
        guard sealer.room < Chunk.plaintextLength else { return }
        var padding = ByteBuffer()
        StreamEncoder.writePadding(room: sealer.room, into: &padding)
        while padding.readableBytes > 0 {
            sealer.append(&padding)
            try takeFull(&sealer, into: &batch)
        }
    }
}

extension ChunkWork {
    /// Seals the chunk behind what is in `buffer`.
    fileprivate func cipher(into buffer: inout ByteBuffer) throws(SealingError) {
        try cipher.seal(self.buffer, into: &buffer)
    }
}
