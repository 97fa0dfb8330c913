// SPDX-License-Identifier: Apache-2.0

/// The single-use secret that lets a new name register: 1 to 64 characters of `[A-Za-z0-9_-]`.
package struct InvitationCode: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package var description: String { "[redacted]" }

    package init?(rawValue: String) {
        guard (1...64).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(Base64URL.contains) else { return nil }
        self.rawValue = rawValue
    }
}
