// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TransferClient

/// Where the bytes that are sent come from. One reader at a time.
protocol ContentSource: Sendable {
    /// What the receiver is told it is called: one component, never a path.
    var name: String { get }
    /// How many bytes there will be, where that is known.
    var size: UInt64? { get }
    /// The next 1 to `max` bytes; nil at the end. Throws `file`, or `interrupted` from standard input.
    func read(max: Int) async throws(ClientError) -> ByteBuffer?
    /// Whether ``rewind()`` can succeed: what comes from a pipe is gone once it was read.
    var isRepeatable: Bool { get }
    /// Begins again from the first byte. Throws `file` when that would not be the same content any more.
    func rewind() async throws(ClientError)
    /// Nothing more will be read.
    func close()
}

/// Standard input, of unknown size. What has been read cannot be read again.
final class StandardInputSource: ContentSource {
    let name: String
    let size: UInt64? = nil

    private let descriptor: Int32
    private let isClosed = Mutex(false)
    private let hasBegun = Mutex(false)

    /// `name` is what the receiver sees; `descriptor` is another than 0 in tests only, and stays the caller's.
    init(name: String = "stdin", descriptor: Int32 = STDIN_FILENO) {
        self.name = name
        self.descriptor = descriptor
    }

    /// Gives what is there, up to `max`, as soon as anything is; stops waiting when the task is cancelled.
    func read(max: Int) async throws(ClientError) -> ByteBuffer? {
        guard !isClosed.withLock({ $0 }) else { return nil }
        // A read that is given up may still take bytes away.
        hasBegun.withLock { hasBegun in hasBegun = true }
        let wanted = Swift.max(1, Swift.min(max, Defaults.maximumRead))
        let descriptor = descriptor
        let buffer = try await BlockingWork.input.runAbandonable {
            do {
                return try Self.readNext(wanted, descriptor)
            } catch let failure as SystemError {
                throw FileError(code: .readFailed, message: "reading standard input failed: \(failure.phrase)")
            }
        }
        return buffer.readableBytes == 0 ? nil : buffer
    }

    var isRepeatable: Bool { !hasBegun.withLock { $0 } }

    func rewind() async throws(ClientError) {
        guard isRepeatable else {
            throw .file(
                FileError(
                    code: .readFailed, message: "standard input cannot be read a second time: run the command again"
                )
            )
        }
    }

    func close() {
        isClosed.withLock { isClosed in isClosed = true }
    }

    private static func readNext(_ wanted: Int, _ descriptor: Int32) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        while true {
            do {
                try unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { space in
                    try SystemError.check { unsafe Glibc.read(descriptor, space.baseAddress, wanted) }
                }
                return buffer
            } catch let failure as SystemError where failure.code == EAGAIN {
                // Another process made the shared descriptor non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                try SystemError.check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }
}
