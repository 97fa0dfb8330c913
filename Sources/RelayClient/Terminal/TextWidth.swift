// SPDX-License-Identifier: Apache-2.0

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
