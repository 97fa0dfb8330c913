// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A failed call to the system: its `errno`.
struct SystemFailure: Error, Hashable, Sendable, CustomStringConvertible {
    let number: Int32

    /// The failure of the call that has just returned on this thread.
    static var last: SystemFailure { SystemFailure(number: errno) }

    /// The system's words for it, with a small first letter so that they fit inside a sentence.
    var description: String {
        switch number {
        case ENOENT: "no such file or directory"
        case EACCES: "permission denied"
        case EPERM: "operation not permitted"
        case EROFS: "the file system is read-only"
        case ELOOP: "a symbolic link stands where none is followed, or too many are"
        case ENAMETOOLONG: "the name is too long"
        default: unsafe String(cString: strerror(number)).lowercased()
        }
    }

    /// Whether the disk, or this user's share of it, is full.
    var isFull: Bool { number == ENOSPC || number == EDQUOT }

    /// Whether a file system, or a sandbox, knows or allows no such call, which says nothing about the data.
    var isUnsupported: Bool {
        switch number {
        case EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY, EPERM, EACCES, EROFS: true
        default: false
        }
    }
}

/// Calls to the system with interruptions handled.
enum SystemCall {
    /// Repeats `call` while a signal interrupts it, and throws ``SystemFailure`` when it fails (returns -1).
    @discardableResult
    static func check<Result: SignedInteger>(_ call: () -> Result) throws(SystemFailure) -> Result {
        while true {
            let result = call()
            if result != -1 { return result }
            let failure = SystemFailure.last
            if failure.number != EINTR { throw failure }
        }
    }

    /// Writes all of `bytes` to `descriptor`, through short writes, interruptions and a pipe that is full for now.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(SystemFailure) {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            do {
                let next = unsafe UnsafeRawBufferPointer(rebasing: rest)
                unsafe rest = unsafe rest.dropFirst(
                    try check { unsafe write(descriptor, next.baseAddress, next.count) })
            } catch  where error.number == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                try check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }

    /// What the system knows about an open file.
    static func status(of descriptor: Int32) throws(SystemFailure) -> stat {
        var status = stat()
        try check { unsafe fstat(descriptor, &status) }
        return status
    }

    /// The path that the kernel knows for an open file; of one that was removed it says "… (deleted)".
    static func path(of descriptor: Int32) -> String? {
        let path = "/proc/self/fd/\(descriptor)"
        var space = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &space, space.count)
        return count > 0 ? String(decoding: space.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }
}

/// An open file of the system, closed with its last reference: work that was given up on a blocking thread keeps
/// its file open until it is through, so that its number cannot come to mean another file meanwhile.
final class OpenFile: Sendable {
    let descriptor: Int32

    /// Takes over `descriptor`.
    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Opens `path`, relative to `directory` or to the working directory; never inherited by other programs.
    convenience init(
        _ path: String, in directory: OpenFile? = nil, flags: Int32, mode: mode_t = 0
    ) throws(SystemFailure) {
        let base = directory?.descriptor ?? AT_FDCWD
        self.init(descriptor: try SystemCall.check { unsafe openat(base, path, flags | O_CLOEXEC, mode) })
    }

    /// Which file it is, whatever it is called.
    func identity() throws(SystemFailure) -> Identity {
        Identity(try SystemCall.status(of: descriptor))
    }

    /// What the name `path` means, itself and not what it leads to if it is a link; relative to `directory` or to the
    /// working directory. Nil when there is nothing, or it cannot be seen.
    static func status(of path: String, in directory: OpenFile? = nil) -> stat? {
        var status = stat()
        let base = directory?.descriptor ?? AT_FDCWD
        return unsafe fstatat(base, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status : nil
    }

    /// What makes two names the same file.
    struct Identity: Hashable, Sendable {
        let device: UInt64
        let number: UInt64

        /// Takes the identity out of `status`.
        init(_ status: stat) {
            device = UInt64(status.st_dev)
            number = UInt64(status.st_ino)
        }
    }
}
