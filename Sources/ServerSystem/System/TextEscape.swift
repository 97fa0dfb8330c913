// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Makes text from outside harmless on a terminal and in a log: one line stays one line.
package enum TextEscape {
    /// `text` with control characters, line and paragraph separators, and marks that change the direction of writing
    /// replaced by their escapes.
    package static func escape(_ text: some StringProtocol) -> String {
        var escaped = ""
        escaped.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case _ where scalar.mayDisturbTerminal: escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
