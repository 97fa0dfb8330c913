// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization

/// Standard input, or another pipe: what has been read cannot be read again.
final class SourcePipe: Sendable {
    private let descriptor: Int32
    private let begun = Atomic(false)
    private let ended = Atomic(false)

    /// - Parameter descriptor: stays the caller's.
    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Whether anything may have been taken out of it: a read that is given up may still take bytes away.
    var hasBegun: Bool { begun.load(ordering: .acquiring) }

    /// Whether all of it was taken out.
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// Whether a read would wait.
    var isEmpty: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 0) == 0
    }

    /// Reads 1 to `length` bytes behind what is in `buffer`, however long that takes; returns 0 at the end.
    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        begun.store(true, ordering: .releasing)
        let descriptor = descriptor
        while true {
            do {
                let count = try unsafe buffer.read(length) { space, length in
                    unsafe Glibc.read(descriptor, space, length)
                }
                if count == 0 { ended.store(true, ordering: .releasing) }
                return count
            } catch {
                // Another process made the shared descriptor non-blocking.
                guard error.code == EAGAIN else { throw error }
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                try SystemError.check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }
}
