// SPDX-License-Identifier: Apache-2.0

/// What kind of fixed-length bytes a field holds.
package protocol FixedBytesKind: Sendable {
    /// The exact length in bytes.
    static var length: Int { get }
    /// Whether the bytes must never be shown, in a log or elsewhere.
    static var isSecret: Bool { get }
}

extension FixedBytesKind {
    package static var isSecret: Bool { false }
}

/// A field of an exact number of bytes, written as base64url without padding.
package struct FixedBytes<Kind: FixedBytesKind>: Hashable, Sendable, ValidatedString {
    package let bytes: [UInt8]

    package var rawValue: String { Base64URL.encode(bytes) }

    package var description: String { Kind.isSecret ? "[redacted]" : rawValue }

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= Kind.length * 2, let bytes = Base64URL.decode(rawValue) else { return nil }
        self.init(bytes: bytes)
    }

    /// Returns nil unless `bytes` has exactly the kind's length.
    package init?(bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
        guard self.bytes.count == Kind.length else { return nil }
    }

    /// Fresh bytes from `generator`, which has to be a cryptographic one wherever the value must not be guessed.
    package static func random(using generator: inout some RandomNumberGenerator) -> FixedBytes {
        FixedBytes(unchecked: (0..<Kind.length).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// Fresh bytes from the system's cryptographic generator.
    package static func random() -> FixedBytes {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }
}

/// The relay's 32 random bytes that a login signs.
package enum NonceKind: FixedBytesKind { package static var length: Int { 32 } }
/// An Ed25519 public key (RFC 8032, section 5.1.5).
package enum SigningKeyKind: FixedBytesKind { package static var length: Int { 32 } }
/// An X25519 public key (RFC 7748, section 5).
package enum ExchangeKeyKind: FixedBytesKind { package static var length: Int { 32 } }
/// An Ed25519 signature (RFC 8032, section 5.1.6).
package enum SignatureKind: FixedBytesKind { package static var length: Int { 64 } }
/// The sender's 16 random bytes that name a transfer for as long as anyone remembers it.
package enum TransferKind: FixedBytesKind { package static var length: Int { 16 } }
/// A single-use right to one half of a transfer.
package enum TokenKind: FixedBytesKind {
    package static var length: Int { 32 }
    package static var isSecret: Bool { true }
}

package typealias Nonce = FixedBytes<NonceKind>
package typealias SigningKey = FixedBytes<SigningKeyKind>
package typealias ExchangeKey = FixedBytes<ExchangeKeyKind>
package typealias LoginSignature = FixedBytes<SignatureKind>
package typealias TransferID = FixedBytes<TransferKind>
package typealias Token = FixedBytes<TokenKind>
