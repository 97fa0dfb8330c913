// SPDX-License-Identifier: Apache-2.0

/// The name a person or machine is known by on a relay: `[a-z0-9][a-z0-9._-]{0,62}`.
///
/// The alphabet is lower case so that two names never differ by case alone, and it is safe in a shell, a log line
/// and a key of a key-value store.
package struct PeerName: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    /// The longest name, in bytes.
    package static let maximumLength = 63

    /// What a name is, as a sentence for a person.
    package static let rule = "a name is 1 to \(maximumLength) of a-z 0-9 . _ -, and begins with a letter or digit"

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= Self.maximumLength, let first = rawValue.utf8.first, Self.isAlphanumeric(first),
            rawValue.utf8.allSatisfy({ Self.isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D })
        else { return nil }
        self.rawValue = rawValue
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
    }
}
