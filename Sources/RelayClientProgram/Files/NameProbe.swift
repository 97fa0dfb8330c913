// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// Finds out by trying whether a file system takes names as they are: every one, and no two for the same.
enum NameProbe {
    /// False where names have to be tried one by one before content comes.
    static func takesAllNames(_ folder: OpenFile) -> Bool {
        let tag = ".probe." + SafeFileName.randomTag() + "."
        let longest = tag + String(repeating: "n", count: Defaults.maximumFileName - tag.utf8.count)
        return takes(tag + "a\u{E9}", butNot: [tag + "A\u{E9}", tag + "ae\u{301}", tag + "a\u{C9}"], in: folder)
            && takes(tag + "ae\u{301}", butNot: [tag + "a\u{E9}"], in: folder)
            && takes(tag + "\u{1}\n:?*\"<>|\\\u{1F44D}\u{FFFD}\u{7F} x.", butNot: [], in: folder)
            && takes(tag + "x.", butNot: [tag + "x"], in: folder)
            && takes(tag + "x ", butNot: [tag + "x"], in: folder)
            && takes(longest, butNot: [], in: folder)
    }

    /// Whether a file can be made that has the one name and no other.
    private static func takes(_ name: String, butNot others: [String], in folder: OpenFile) -> Bool {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        guard (try? OpenFile(name, in: folder, flags: flags, mode: 0o600)) != nil else { return false }
        defer { unsafe unlinkat(folder.descriptor, name, 0) }
        return OpenFile.status(of: name, in: folder) != nil
            && others.allSatisfy { other in OpenFile.status(of: other, in: folder) == nil }
    }
}
