// SPDX-License-Identifier: Apache-2.0

/// One component of a path, made from whatever name a sender offered. Every file the receiver makes gets its name
/// here and nowhere else.
///
/// Harmless Unicode stays as it is: spaces, accents, emoji, any script, also leading dashes (a name is only ever used
/// relative to a directory's handle). What is changed:
/// - `/`, control characters, bidirectional and invisible format characters and line separators become `_`;
/// - a leading dot becomes `_`, which covers `.` and `..`, and because a file that appears as `.profile` or `.forward`
///   in a user's home directory would be run (CVE-2010-2252 and its like);
/// - nothing at all becomes `unnamed`;
/// - what is too long is cut between characters, in front of the extension.
struct SafeFileName: Hashable, Sendable {
    /// The safe name: 1 to `maximumLength` bytes of UTF-8.
    let text: String

    private let stem: String
    private let suffix: String
    private let maximumLength: Int

    /// Makes a safe name out of `offered`; `maximumLength` in bytes is the file system's. The name of a folder has no
    /// extension.
    init(offered: String, maximumLength: Int = Defaults.maximumFileName, isFolder: Bool = false) {
        var scalars = String.UnicodeScalarView()
        for scalar in offered.unicodeScalars {
            let isUnsafe = scalar == "/" || DisplayName.isDangerous(scalar)
            scalars.append(isUnsafe || (scalar == "." && scalars.isEmpty) ? "_" : scalar)
        }
        let cleaned = scalars.isEmpty ? "unnamed" : String(scalars)
        self.maximumLength = max(32, maximumLength)
        (stem, suffix) = isFolder ? (cleaned, "") : Self.split(cleaned)
        text = Self.join(stem, "", suffix, self.maximumLength)
    }

    /// `report (1).pdf` for the number 1.
    func numbered(_ number: Int) -> String {
        Self.join(stem, " (\(number))", suffix, maximumLength)
    }

    /// Twelve characters that other users cannot guess, for names of files that no user is meant to see.
    static func randomTag() -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<12).map { _ in alphabet[Int.random(in: alphabet.indices)] })
    }

    private static func join(_ stem: String, _ middle: String, _ suffix: String, _ maximumLength: Int) -> String {
        prefix(of: stem, bytes: maximumLength - middle.utf8.count - suffix.utf8.count) + middle + suffix
    }

    /// Splits `name` in front of its extension, which may be double (`.tar.gz`); without one the second part is empty.
    private static func split(_ name: String) -> (String, String) {
        let scalars = name.unicodeScalars
        guard let dot = scalars.lastIndex(of: "."), dot > scalars.startIndex else { return (name, "") }
        var start = dot
        let rest = scalars[scalars.index(after: dot)...]
        guard !rest.isEmpty, !rest.contains(" "), String(rest).utf8.count < Defaults.maximumExtension else {
            return (name, "")
        }
        if let earlier = scalars[..<dot].lastIndex(of: "."), earlier > scalars.startIndex,
            String(scalars[earlier..<dot]).lowercased() == ".tar"
        {
            start = earlier
        }
        return (String(scalars[..<start]), String(scalars[start...]))
    }

    /// The longest start of `text` of at most `bytes` bytes that does not end inside a character; inside a first
    /// character that alone is longer, it ends between two scalars.
    private static func prefix(of text: String, bytes: Int) -> String {
        if text.utf8.count <= bytes { return text }
        var left = bytes
        var kept = ""
        for character in text {
            left -= character.utf8.count
            if left < 0 { break }
            kept.append(character)
        }
        guard kept.isEmpty else { return kept }
        left = bytes
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            left -= scalar.utf8.count
            if left < 0 { break }
            scalars.append(scalar)
        }
        return String(scalars)
    }
}
