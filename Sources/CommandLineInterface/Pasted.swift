// SPDX-License-Identifier: Apache-2.0

/// What came from a clipboard, a variable or a file: with blanks and line ends around it that nobody meant.
package enum Pasted {
    /// `text` without white space, line ends and invisible marks around it: for codes, names, addresses, times and sizes, none of
    /// which have any.
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
