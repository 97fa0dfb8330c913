// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// A name or a path as the system takes it: any bytes but zero. A `String` cannot hold all that a folder may.
struct PathName: Hashable, Sendable {
    /// With the zero byte at their end.
    let terminated: [CChar]

    init(_ bytes: some Collection<UInt8>) {
        var terminated = [CChar]()
        terminated.reserveCapacity(bytes.count + 1)
        for byte in bytes { terminated.append(CChar(bitPattern: byte)) }
        terminated.append(0)
        self.terminated = terminated
    }

    init(_ text: String) { self.init(Array(text.utf8)) }

    var bytes: [UInt8] { terminated.dropLast().map(UInt8.init(bitPattern:)) }

    /// What is shown of it: bytes that are no UTF-8 are replaced.
    var text: String { String(decoding: terminated.dropLast().lazy.map(UInt8.init(bitPattern:)), as: UTF8.self) }
}

extension OpenFile {
    /// Opens `path`, relative to `folder` or to the working directory; never inherited by other programs.
    convenience init(_ path: PathName, in folder: OpenFile?, flags: Int32) throws(SystemError) {
        let base = folder?.descriptor ?? AT_FDCWD
        self.init(
            descriptor: try SystemError.check { unsafe openat(base, path.terminated, flags | O_CLOEXEC, 0) }
        )
    }

    /// What the system knows about `path`, relative to `folder` or to the working directory.
    static func status(
        of path: PathName, in folder: OpenFile?, followsLinks: Bool
    ) throws(SystemError) -> stat {
        var status = stat()
        let base = folder?.descriptor ?? AT_FDCWD
        let flags = followsLinks ? 0 : AT_SYMLINK_NOFOLLOW
        try SystemError.check { unsafe fstatat(base, path.terminated, &status, flags) }
        return status
    }
}
