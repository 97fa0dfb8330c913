// SPDX-License-Identifier: Apache-2.0

extension Unicode.Scalar {
    /// The character as a JSON string may always have it (RFC 8259, section 7): one `\uXXXX`, or two outside the basic
    /// plane.
    package var jsonEscape: String {
        String(self).utf16.map { unit in
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        }.joined()
    }
}
