// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A system call that failed.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The value of `errno`.
    package var code: CInt

    package init(code: CInt) { self.code = code }

    /// What the last system call of this thread left behind.
    package static var last: SystemError { SystemError(code: errno) }

    /// Whether the process, or the machine, has no file descriptors left.
    package var isShortOfDescriptors: Bool { code == EMFILE || code == ENFILE }

    /// The system's own words ("No such file or directory").
    package var description: String { unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)" }

    /// Calls `body` until it is not interrupted by a signal; throws what it failed with.
    @discardableResult
    package static func check<Value: SignedInteger>(_ body: () -> Value) throws(SystemError) -> Value {
        while true {
            let value = body()
            if value >= 0 { return value }
            let error = SystemError.last
            if error.code != EINTR { throw error }
        }
    }

    /// Writes all of `bytes` to `file`, through short writes, interruptions and a pipe that is full for now.
    package static func writeAll(_ bytes: UnsafeRawBufferPointer, to file: CInt) throws(SystemError) {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            do {
                let next = unsafe UnsafeRawBufferPointer(rebasing: rest)
                unsafe rest = unsafe rest.dropFirst(try check { unsafe write(file, next.baseAddress, next.count) })
            } catch  where error.code == EAGAIN {
                var waiting = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                try check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }
}
