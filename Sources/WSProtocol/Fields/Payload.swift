// SPDX-License-Identifier: Apache-2.0

/// Bytes from one client to another that mean nothing to the relay: base64url, at most 32 KiB before encoding.
package struct Payload: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    /// The most bytes a payload carries.
    package static let maximumLength = 32 * 1024

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= (Self.maximumLength * 4 + 2) / 3, Base64URL.isEncoding(rawValue) else {
            return nil
        }
        self.rawValue = rawValue
    }

    /// Returns nil when `bytes` is longer than ``maximumLength``.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count <= Self.maximumLength else { return nil }
        self.rawValue = Base64URL.encode(bytes)
    }

    /// The bytes.
    package var bytes: [UInt8] { Base64URL.decode(rawValue) ?? [] }
}
