// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An open file of the system, closed when nobody holds it any more: work that was given up on a blocking thread keeps
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
