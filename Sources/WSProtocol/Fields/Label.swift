// SPDX-License-Identifier: Apache-2.0

/// A short free text that may end up in a log: 0 to 64 printable ASCII characters (a program's name and version, an
/// invitation code).
package struct Label: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= 64, rawValue.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { return nil }
        self.rawValue = rawValue
    }

    /// The first 64 bytes of `text`, with a question mark in the place of each byte that may not stand in a label.
    package init(clipping text: String) {
        let bytes = text.utf8.prefix(64).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        self.rawValue = String(decoding: bytes, as: UTF8.self)
    }
}
