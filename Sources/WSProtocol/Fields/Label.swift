// SPDX-License-Identifier: Apache-2.0

/// A short free text that may end up in a log: 0 to 64 printable ASCII characters (a program's name and version, an
/// invitation code).
package struct Label: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= 64, rawValue.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { return nil }
        self.rawValue = rawValue
    }
}
