// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
package import WSProtocol

/// Text that came from a clipboard, a variable or a file, with unintended blanks and line ends around it.
package enum Pasted {
    /// `text` without white space, line ends and invisible marks around it: for codes, names, addresses, times and
    /// sizes, none of which have any.
    package static func trimmed(_ text: String) -> String { trimmed(text) { isBlank($0) } }

    /// `path` without line ends behind it. Blanks are part of a path.
    package static func path(_ path: String) -> String {
        var rest = path.unicodeScalars[...]
        while let last = rest.last, last == "\n" || last == "\r" { rest.removeLast() }
        return String(rest)
    }

    private static func trimmed(_ text: String, _ isBlank: (Unicode.Scalar) -> Bool) -> String {
        var rest = text.unicodeScalars[...]
        while let first = rest.first, isBlank(first) { rest.removeFirst() }
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return String(rest)
    }

    /// White space, a byte order mark, and the marks that web pages put between words.
    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || ["\u{FEFF}", "\u{200B}", "\u{2060}"].contains(scalar)
    }
}

/// A path that begins with `~`: only a shell makes a home of that, and only at the beginning of a word, so not in
/// `--output=~/x`, in a variable that was quoted, or in a configuration file.
package enum UnexpandedHome {
    /// What to say about `path`, which `name` gave; nil when it begins otherwise, or is really there.
    package static func mistake(_ path: String, of name: String) -> String? {
        guard path == "~" || path.hasPrefix("~/"), unsafe access(path, F_OK) != 0 else { return nil }
        return
            "\(name): there is no \"\(path)\" here, and ~ means the home only where a shell reads it, at the beginning "
            + "of a word: write out the home, or $HOME/ in a shell"
    }
}

extension PeerName {
    /// A name from the command line.
    /// - Throws: `ValidationError` with the rule, and with the name that was meant if there is one.
    package static func argument(_ text: String) throws -> PeerName {
        let text = Pasted.trimmed(text)
        if let name = PeerName(rawValue: text) { return name }
        guard let meant = PeerName(rawValue: text.lowercased()) else { throw ValidationError(rule) }
        throw ValidationError("\(rule); did you mean \"\(meant)\"?")
    }

    /// `NAME[,NAME...]`: names without repetitions.
    /// - Throws: `ValidationError` as above, or when there is a comma too many.
    package static func list(_ text: String) throws -> [PeerName] {
        var names: [PeerName] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !Pasted.trimmed(String(part)).isEmpty else {
                throw ValidationError(
                    "there is no name at one side of a comma; several are written bob,carol without blanks")
            }
            let name = try argument(String(part))
            if !names.contains(name) { names.append(name) }
        }
        return names
    }
}
