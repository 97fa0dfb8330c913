// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Moves a source's content into an upload: reading, hashing, framing, sending, each a stage of its own.
struct Uploader: Sendable {
    let source: any ContentSource
    let stream: UploadStream
    /// Told the bytes of content sent so far, after each piece.
    let progress: @Sendable (UInt64) -> Void
    /// Told what was sent, once everything is on its way: to compare with what the receiver says.
    let summed: @Sendable (ContentSummary) -> Void

    /// Sends everything and waits until the relay has handed it on. Ends as soon as the stream does, even while the
    /// source has nothing to give.
    ///
    /// - Throws: ``StreamError``, ``FileError``, or `CancellationError`.
    func run() async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { try await send() }
            group.addTask { [stream] in
                if let error = await stream.failure() { throw error }
            }
            defer { group.cancelAll() }
            try await withTaskCancellationHandler {
                do {
                    // Both succeed at the same moment; whichever fails first says why.
                    try await group.next()
                    try await group.next()
                } catch {
                    // The group ends with its last task, and the one that watches the stream ends with the stream.
                    stream.abort()
                    throw error
                }
            } onCancel: {
                stream.abort()
            }
        }
    }

    private func send() async throws {
        var hash = ContentHash()
        var framer = RecordFramer(fillsRecords: source.size != nil)
        while let content = try await source.read(max: Defaults.readSize) {
            try Task.checkCancellation()
            hash.update(content)
            let records = framer.frame(content)
            if records.readableBytes > 0 { try await stream.write(records) }
            progress(hash.size)
        }
        let summary = hash.finish()
        summed(summary)
        try await stream.write(framer.finish(digest: summary.digest))
        _ = try await stream.finish()
    }

    /// The length of the body for content of `size` bytes; nil sends it chunked.
    static func bodyLength(of size: UInt64?) -> UInt64? {
        size.flatMap { RecordEncoder.streamLength(size: $0) }
    }
}
