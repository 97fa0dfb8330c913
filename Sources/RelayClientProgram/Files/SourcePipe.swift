// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization

/// Bytes that can be read once.
protocol ReadOnce: Sendable {
    /// Whether a read may take for ever.
    var mayWait: Bool { get }
    /// Whether a read would wait now.
    var wouldWait: Bool { get }
    /// Reads 1 to `length` bytes behind what is in `buffer`, however long that takes; returns 0 at the end.
    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int
}

/// What is read in the place of files: what has been read cannot be read again.
final class SourcePipe: Sendable {
    private let content: any ReadOnce
    private let begun = Atomic(false)
    private let ended = Atomic(false)

    init(_ content: any ReadOnce) { self.content = content }

    /// Whether anything may have been taken out of it: a read that is given up may still take bytes away.
    var hasBegun: Bool { begun.load(ordering: .acquiring) }

    /// Whether all of it was taken out.
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// Whether a read may take for ever.
    var mayWait: Bool { content.mayWait }

    /// Whether a read would wait.
    var isEmpty: Bool { content.wouldWait }

    /// Reads 1 to `length` bytes behind what is in `buffer`, however long that takes; returns 0 at the end.
    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        begun.store(true, ordering: .releasing)
        let count = try content.read(length, into: &buffer)
        if count == 0 { ended.store(true, ordering: .releasing) }
        return count
    }
}

/// Standard input, or another pipe.
struct DescriptorBytes: ReadOnce {
    private let descriptor: Int32

    /// - Parameter descriptor: stays the caller's.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    let mayWait = true

    var wouldWait: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 0) == 0
    }

    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        let descriptor = descriptor
        while true {
            do {
                return try unsafe buffer.read(length) { space, length in
                    unsafe Glibc.read(descriptor, space, length)
                }
            } catch {
                // Another process made the shared descriptor non-blocking.
                guard error.code == EAGAIN else { throw error }
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                try SystemError.check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }
}
