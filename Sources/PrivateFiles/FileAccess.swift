// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// Who may get at an open file or folder, as its owner and its mode say.
package struct FileAccess: Hashable, Sendable {
    /// Whether it belongs to the user that this process acts for.
    package let isOwn: Bool
    /// Whether it is a file, and not a folder, a device or a socket.
    package let isRegular: Bool
    private let mode: mode_t

    /// Looks at what is open as `descriptor`.
    package init(of descriptor: CInt) throws(SystemError) {
        var status = stat()
        try SystemError.check { unsafe fstat(descriptor, &status) }
        isOwn = status.st_uid == geteuid()
        isRegular = status.st_mode & S_IFMT == S_IFREG
        mode = status.st_mode & 0o7777
    }

    /// Whether it allows more than `allowed` does.
    package func exceeds(_ allowed: mode_t) -> Bool { mode & 0o777 & ~allowed != 0 }

    /// Takes every permission beyond `allowed` away from what is open as `descriptor`.
    package func restrict(_ descriptor: CInt, to allowed: mode_t) throws(SystemError) {
        try SystemError.check { fchmod(descriptor, mode & allowed) }
    }
}

/// Folders that belong to one user alone.
package enum PrivateFolder {
    /// Why a folder could not be made.
    package struct Failure: Error, Hashable, Sendable {
        /// The folder itself, or one above it.
        package let path: String
        package let error: SystemError
    }

    /// The mode of such a folder.
    package static let mode: mode_t = 0o700

    /// Makes `path` and what is missing above it, for the owner alone. What is there already stays as it is.
    package static func make(_ path: String) throws(Failure) {
        var prefix = path.hasPrefix("/") ? "" : "."
        for component in path.split(separator: "/") {
            prefix += "/" + component
            guard unsafe mkdir(prefix, mode) != 0 else { continue }
            let error = SystemError.last
            var status = stat()
            // EROFS and EACCES also come for what is there already.
            let isThere = unsafe stat(prefix, &status) == 0
            if error.code == EEXIST || isThere { continue }
            throw Failure(path: prefix, error: error)
        }
    }
}
