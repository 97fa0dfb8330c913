// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import Glibc

/// Writes small files as a whole: at any moment, also after a power cut, the name leads to the old contents or to all
/// of the new ones.
package enum AtomicFile {
    /// The steps of a replacement, in their order.
    package enum Step: CaseIterable, Sendable {
        case created, halfWritten, written, synced, renamed, directorySynced
    }

    /// The mode of the files: only the owner reads and writes them.
    package static let mode: mode_t = 0o600

    /// Writes `contents` to a new file called `temporary`, forces them to the disk, and gives that file its `name`.
    /// When it throws, the old contents are still there or the new ones already are, and `temporary` may be left over.
    ///
    /// - Parameters:
    ///   - folder: the open folder of both.
    ///   - isDurable: whether the disk is waited for; without that, a power cut may leave the file empty.
    ///   - reached: told after each step; throwing there stops the replacement as a kill would.
    ///   - place: gives the file its name; nil replaces what is there.
    package static func write(
        _ contents: Data, to name: String, in folder: CInt, by temporary: String, isDurable: Bool = true,
        reached: (Step) throws -> Void = { _ in }, place: (() throws -> Void)? = nil
    ) throws {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let file = try SystemError.check { unsafe openat(folder, temporary, flags, mode) }
        do {
            defer { close(file) }
            try reached(.created)
            try write(contents.prefix(contents.count / 2), to: file)
            try reached(.halfWritten)
            try write(contents.dropFirst(contents.count / 2), to: file)
            try reached(.written)
            if isDurable { try SystemError.check { fsync(file) } }
            try reached(.synced)
        }
        if let place {
            try place()
        } else {
            try SystemError.check { unsafe renameat(folder, temporary, folder, name) }
        }
        try reached(.renamed)
        if isDurable { try SystemError.check { fsync(folder) } }
        try reached(.directorySynced)
    }

    private static func write(_ bytes: Data, to file: CInt) throws {
        try unsafe bytes.withUnsafeBytes { bytes in try unsafe SystemError.writeAll(bytes, to: file) }
    }
}
