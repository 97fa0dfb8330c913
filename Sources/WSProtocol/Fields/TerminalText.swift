// SPDX-License-Identifier: Apache-2.0

extension Unicode.Scalar {
    /// Whether to show this as it is may do more to a terminal, or in a listing, than show a character: control
    /// characters, line and paragraph separators, format characters, which change the direction of writing or cannot be
    /// seen, and what is no character at all.
    package var mayDisturbTerminal: Bool {
        if (0x20..<0x7F).contains(value) { return false }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: properties.isNoncharacterCodePoint
        }
    }
}
