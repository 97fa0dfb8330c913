// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc

/// Gives a finished file its final name without ever replacing anything.
enum NewName {
    /// How the name is given.
    enum Method: Sendable {
        /// One atomic `renameat2` that fails where the name is taken; where the file system cannot do that, `link`.
        case rename
        /// A second hard link, which fails where the name is taken, and then the first is removed; where the file system
        /// has no such links, ``reserve``.
        case link
        /// An empty file of the name, which is made only where there is none, and then replaced. Who looks in between sees
        /// that one.
        case reserve
    }

    /// Gives the file called `partial` in `directory` the name `final`. Returns false when something of that name
    /// exists, be it a file, a folder or a link to nowhere; then nothing has changed.
    static func give(
        _ final: String, to partial: String, in directory: OpenFile, by method: Method = .rename
    ) throws(SystemFailure) -> Bool {
        let descriptor = directory.descriptor
        do throws(SystemFailure) {
            switch method {
            case .rename:
                try SystemCall.check { unsafe CLinux_rename_noreplace(descriptor, partial, final) }
            case .link:
                try SystemCall.check { unsafe linkat(descriptor, partial, descriptor, final, 0) }
                // The content is there under its final name; a second name left behind is no reason to fail.
                unsafe unlinkat(descriptor, partial, 0)
            case .reserve:
                _ = try OpenFile(final, in: directory, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
                do {
                    try SystemCall.check { unsafe renameat(descriptor, partial, descriptor, final) }
                } catch {
                    unsafe unlinkat(descriptor, final, 0)
                    throw error
                }
            }
            return true
        } catch {
            switch (error.number, method) {
            case (EEXIST, _): return false
            case (EINVAL, .rename), (ENOSYS, .rename):
                return try give(final, to: partial, in: directory, by: .link)
            case (EPERM, .link), (EOPNOTSUPP, .link), (ENOSYS, .link), (EMLINK, .link):
                return try give(final, to: partial, in: directory, by: .reserve)
            default: throw error
            }
        }
    }
}
