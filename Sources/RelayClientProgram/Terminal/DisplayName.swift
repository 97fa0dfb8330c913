// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Names as they may be shown: whatever another user put into a name, it stays inside its place on the screen.
enum DisplayName {
    /// `text` with everything that could move the cursor, change the order of what is read, end a line, or hide
    /// itself, written out as `\u{202e}`, `\n` and the like. A backslash and a double quote are written `\\` and `\"`,
    /// so that what is shown means one name only and stays inside its quotes. Longer than `columns` on a terminal, its
    /// middle is left out.
    static func escape(_ text: String, columns: Int = Defaults.displayedNameColumns) -> String {
        var pieces: [Piece] = []
        var previous: Unicode.Scalar?
        // Wherever the cut will be, what is far from both ends cannot be seen; a name of a megabyte costs no more.
        let scalars = text.unicodeScalars
        let kept = max(4, columns) * 4
        let head = scalars.prefix(kept)
        let tail = scalars[head.endIndex...].suffix(kept)
        let isWhole = head.endIndex == tail.startIndex
        for part in [head, tail] {
            for scalar in part {
                pieces.append(piece(scalar, after: previous))
                previous = scalar
            }
        }
        return shortened(pieces, columns: max(4, columns), isWhole: isWhole)
    }

    /// ``escape(_:columns:)`` for the path of a file that the person has to find: nothing is left out of one that the
    /// system takes in one piece.
    static func path(_ text: String) -> String { escape(text, columns: Defaults.displayedPathColumns) }

    /// A message, names in it escaped already or not, with everything written out that could leave its line. It is cut
    /// at the length that a user would read.
    static func line(_ message: String) -> String {
        var text = ""
        for scalar in message.unicodeScalars.prefix(Defaults.maximumMessage) {
            text += isDangerous(scalar) ? "\\u{" + String(scalar.value, radix: 16) + "}" : String(scalar)
        }
        return text
    }

    /// Whether `scalar` can do harm on a terminal or in a listing. The two joiners are not among what can: scripts and
    /// emoji need them.
    static func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
        scalar.mayDisturbTerminal && scalar != zeroWidthJoiner && scalar != zeroWidthNonJoiner
    }

    private static let zeroWidthJoiner: Unicode.Scalar = "\u{200D}"
    private static let zeroWidthNonJoiner: Unicode.Scalar = "\u{200C}"
    private static let emojiPresentation: Unicode.Scalar = "\u{FE0F}"

    /// One shown scalar and the columns it takes.
    private struct Piece {
        let text: String
        let columns: Int
    }

    private static func piece(_ scalar: Unicode.Scalar, after previous: Unicode.Scalar?) -> Piece {
        switch scalar {
        case "\\": return Piece(text: "\\\\", columns: 2)
        case "\"": return Piece(text: "\\\"", columns: 2)
        case "\n": return Piece(text: "\\n", columns: 2)
        case "\r": return Piece(text: "\\r", columns: 2)
        case "\t": return Piece(text: "\\t", columns: 2)
        default: break
        }
        let isHidden = isDangerous(scalar) || scalar.properties.isDefaultIgnorableCodePoint
        guard isHidden, !belongsToEmoji(scalar, after: previous) else {
            return Piece(text: String(scalar), columns: TextWidth.columns(of: scalar))
        }
        let escaped = "\\u{" + String(scalar.value, radix: 16) + "}"
        return Piece(text: escaped, columns: escaped.utf8.count)
    }

    /// A joiner or the emoji selector directly behind an emoji is part of the picture and hides nothing.
    private static func belongsToEmoji(_ scalar: Unicode.Scalar, after previous: Unicode.Scalar?) -> Bool {
        guard scalar == zeroWidthJoiner || scalar == emojiPresentation, let previous, !previous.isASCII else {
            return false
        }
        return previous.properties.isEmoji || (scalar == zeroWidthJoiner && previous == emojiPresentation)
    }

    private static func shortened(_ pieces: [Piece], columns: Int, isWhole: Bool) -> String {
        let total = pieces.reduce(0) { sum, piece in sum + piece.columns }
        if isWhole && total <= columns && pieces.count <= columns * 4 { return pieces.map(\.text).joined() }
        let tailColumns = (columns - 1) / 2
        let head = fitting(pieces, columns: columns - 1 - tailColumns)
        let tail = fitting(pieces.reversed(), columns: tailColumns).reversed()
        return head.joined() + "…" + tail.joined()
    }

    /// The first pieces that fit into `columns`; marks of no width are limited too, so that a pile of them ends.
    private static func fitting(_ pieces: some Sequence<Piece>, columns: Int) -> [String] {
        var left = columns
        var texts: [String] = []
        for piece in pieces {
            left -= piece.columns
            if left < 0 || texts.count >= columns * 2 { break }
            texts.append(piece.text)
        }
        return texts
    }
}

/// How many columns of a terminal a text takes, by the rules terminals share (Unicode's East Asian Width and emoji
/// presentation). A wrong guess only makes a line a little too short or too long.
enum TextWidth {
    /// The columns of `text`.
    static func columns(of text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in sum + columns(of: scalar) }
    }

    /// The columns of `scalar`: 0 for marks that sit on the character before, 2 for wide ones, otherwise 1.
    static func columns(of scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        if scalar.properties.isEmojiPresentation { return 2 }
        return wide.contains { range in range.contains(scalar.value) } ? 2 : 1
    }

    /// The start of `text` that fits into `columns`.
    static func prefix(of text: String, columns: Int) -> String {
        var left = columns
        var kept = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            left -= Self.columns(of: scalar)
            if left < 0 { break }
            kept.append(scalar)
        }
        return String(kept)
    }

    /// Blocks of East Asian Width W and F.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
        0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]
}
