// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TransferClient

/// Where received bytes go. One writer at a time; after ``finish()`` or ``discard()`` nothing more is written.
protocol ContentSink: Sendable {
    /// Takes `buffer`, which may reach the disk later, but before ``finish()`` returns. Throws `file`.
    func write(_ buffer: ByteBuffer) async throws(ClientError)
    /// Makes everything durable and gives the file its final name, to be called only once the content is verified.
    /// Throws `file`; then ``discard()`` is still to be called, and the sender is to be told that it is not stored.
    /// From here on the content is never thrown away: what cannot get its name, or may not be safe on the disk, is
    /// kept, and the error says where. Only what has no room on the disk after all, or was removed by others, is not
    /// there any more.
    func finish() async throws(ClientError) -> StoredContent
    /// Whether everything can still be taken back, so that the same content may come once more from its beginning.
    var isRepeatable: Bool { get }
    /// Whether any content has come.
    var hasContent: Bool { get }
    /// Removes whatever this sink created and does not keep; harmless after ``finish()`` and when repeated.
    func discard() async
}

/// Standard output. What is written there is out before the content as a whole is verified, so a reader has to look at
/// the exit code; nothing can be taken back.
final class StandardOutputSink: ContentSink {
    private let descriptor: Int32
    private let hasBegun = Mutex(false)

    /// `descriptor` is another than 1 in tests only, and stays the caller's.
    init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
    }

    /// Writes at once, so that a slow stream is seen as it comes; stops waiting when the task is cancelled.
    func write(_ buffer: ByteBuffer) async throws(ClientError) {
        hasBegun.withLock { hasBegun in hasBegun = true }
        try await perform { descriptor in
            try unsafe buffer.withUnsafeReadableBytes { try unsafe SystemError.writeAll($0, to: descriptor) }
        }
    }

    func finish() async throws(ClientError) -> StoredContent {
        try await perform { descriptor in
            // Only where it is a file on a disk does this mean anything; a pipe or a terminal has nothing to wait for.
            do {
                try SystemError.check { fsync(descriptor) }
            } catch let failure as SystemError where failure.code != EIO && !failure.isFull {
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
            } catch let failure as SystemError where failure.isFull {
                throw FileError(code: .noSpace, message: "standard output is full: make room, then receive again")
            } catch let failure as SystemError where failure.code == EPIPE {
                throw FileError(code: .writeFailed, message: "the reader of standard output stopped reading")
            } catch let failure as SystemError {
                throw FileError(code: .writeFailed, message: "writing to standard output failed: \(failure.phrase)")
            }
        }
    }
}

/// Where a received content is, once it has its final name.
struct StoredContent: Sendable {
    /// Its absolute path when it was stored; `-` for standard output.
    let path: String

    private let folder: ReceiveFolder?
    private let name: String
    private let identity: OpenFile.Identity?

    /// Content that went to standard output.
    static let standardOutput = StoredContent(path: "-", folder: nil, name: "-", identity: nil)

    /// The file `name` in `folder`, which is the one with that `identity`.
    init(_ name: String, in folder: ReceiveFolder, identity: OpenFile.Identity) {
        self.init(path: folder.path(of: name), folder: folder, name: name, identity: identity)
    }

    private init(path: String, folder: ReceiveFolder?, name: String, identity: OpenFile.Identity?) {
        self.identity = identity
        self.path = path
        self.folder = folder
        self.name = name
    }

    /// Its path now, which is another one after its folder was moved; nil when it is not there any more. Another file
    /// of the same name, there or in a folder that took the old one's place, is not it.
    func currentPath() -> String? {
        guard let folder else { return path }
        guard folder.currentPath() != nil, let status = OpenFile.status(of: name, in: folder.handle),
            // The number of a file that was removed may be given to the next one of any kind.
            status.st_mode & S_IFMT == S_IFREG, OpenFile.Identity(status) == identity
        else { return nil }
        return folder.path(of: name)
    }
}
