// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import Synchronization
import TransferClient

/// Standard output. What is written there is out before the content as a whole is verified, so a reader has to look at
/// the exit code; nothing can be taken back.
final class StandardOutputSink: ContentSink {
    private let descriptor: Int32
    private let hasBegun = Mutex(false)

    /// `descriptor` is another than 1 in tests only, and stays the caller's.
    init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
        // A reader that goes away (`| head`) is an error to report, not a reason to die without a word to the sender.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Writes at once, so that a slow stream is seen as it comes; stops waiting when the task is cancelled.
    func write(_ buffer: ByteBuffer) async throws(ClientError) {
        hasBegun.withLock { hasBegun in hasBegun = true }
        try await perform { descriptor in
            try unsafe buffer.withUnsafeReadableBytes { bytes in try unsafe SystemCall.writeAll(bytes, to: descriptor) }
        }
    }

    func finish() async throws(ClientError) -> StoredContent {
        try await perform { descriptor in
            // Only where it is a file on a disk does this mean anything; a pipe or a terminal has nothing to wait for.
            do {
                try SystemCall.check { fsync(descriptor) }
            } catch let failure as SystemFailure where failure.number != EIO && !failure.isFull {
                return
            }
        }
        return .standardOutput
    }

    var isRepeatable: Bool { !hasContent }

    var hasContent: Bool { hasBegun.withLock { $0 } }

    func discard() async {}

    private func perform(_ body: @escaping @Sendable (Int32) throws -> Void) async throws(ClientError) {
        let descriptor = descriptor
        try await BlockingWork.output.runAbandonable {
            do {
                try body(descriptor)
            } catch let failure as SystemFailure where failure.isFull {
                throw FileError(code: .noSpace, message: "standard output is full: make room, then receive again")
            } catch let failure as SystemFailure where failure.number == EPIPE {
                throw FileError(code: .writeFailed, message: "whoever read standard output stopped reading")
            } catch let failure as SystemFailure {
                throw FileError(code: .writeFailed, message: "writing to standard output failed: \(failure)")
            }
        }
    }
}
