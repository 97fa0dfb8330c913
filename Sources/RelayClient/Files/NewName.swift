// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc

/// Gives a finished file its final name without ever replacing anything.
enum NewName {
    /// How the name is given.
    enum Method: Sendable {
        /// One atomic `renameat2` that fails where the name is taken; where the file system cannot do that, `link`.
        case rename
        /// A second hard link, which fails where the name is taken, and then the first is removed.
        case link
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
            }
            return true
        } catch {
            switch (error.number, method) {
            case (EEXIST, _): return false
            case (EINVAL, .rename), (ENOSYS, .rename):
                return try give(final, to: partial, in: directory, by: .link)
            default: throw error
            }
        }
    }
}
