// SPDX-License-Identifier: Apache-2.0

/// What kind of fixed-length bytes a field holds.
package protocol FixedBytesKind: Sendable {
    /// The exact length in bytes.
    static var length: Int { get }
    /// Whether the bytes must never be shown, in a log or elsewhere.
    static var isSecret: Bool { get }
    /// Whether these bytes, of the exact length, are a value of this kind.
    static func isValid(_ bytes: [UInt8]) -> Bool
}

extension FixedBytesKind {
    package static var isSecret: Bool { false }
    package static func isValid(_ bytes: [UInt8]) -> Bool { true }
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

    /// Returns nil unless `bytes` has exactly the kind's length, and is a value of the kind.
    package init?(bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
        guard self.bytes.count == Kind.length, Kind.isValid(self.bytes) else { return nil }
    }

    /// Fresh bytes from `generator`, which has to be a cryptographic one wherever the value must not be guessed.
    package static func random(using generator: inout some RandomNumberGenerator) -> FixedBytes {
        while true {
            // The system's generator is a system call for each number.
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Kind.length + 7)
            while bytes.count < Kind.length {
                let number = generator.next()
                for shift in stride(from: 0, to: UInt64.bitWidth, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: number >> shift))
                }
            }
            bytes.removeLast(bytes.count - Kind.length)
            if Kind.isValid(bytes) { return FixedBytes(unchecked: bytes) }
        }
    }

    /// Fresh bytes from the system's cryptographic generator.
    package static func random() -> FixedBytes {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    // What RawRepresentable brings would compare, and hash, the texts, and make them each time.

    package static func == (first: FixedBytes, second: FixedBytes) -> Bool { first.bytes == second.bytes }

    package func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

/// The relay's 32 random bytes that a login signs.
package enum NonceKind: FixedBytesKind { package static var length: Int { 32 } }
/// An Ed25519 public key (RFC 8032, section 5.1.5): canonical, and of no low order.
package enum SigningKeyKind: FixedBytesKind {
    package static var length: Int { 32 }
    package static func isValid(_ bytes: [UInt8]) -> Bool { Ed25519Rules.isPoint(bytes) }
}
/// An Ed25519 signature (RFC 8032, section 5.1.6): a canonical point of no low order, and a scalar below the group's
/// order.
package enum SignatureKind: FixedBytesKind {
    package static var length: Int { 64 }
    package static func isValid(_ bytes: [UInt8]) -> Bool {
        Ed25519Rules.isPoint(bytes.prefix(32)) && Ed25519Rules.isScalar(bytes.suffix(32))
    }
}
/// An encapsulation key of X-Wing (ML-KEM-768 and X25519).
package enum PrekeyKind: FixedBytesKind { package static var length: Int { 1_216 } }
/// The sender's 16 random bytes that name a transfer for as long as any party remembers it.
package enum TransferKind: FixedBytesKind { package static var length: Int { 16 } }
/// A requester's 16 random bytes that name what was asked for.
package enum PullRequestKind: FixedBytesKind { package static var length: Int { 16 } }
/// A single-use right to one half of a transfer.
package enum TokenKind: FixedBytesKind {
    package static var length: Int { 32 }
    package static var isSecret: Bool { true }
}

package typealias Nonce = FixedBytes<NonceKind>
package typealias SigningKey = FixedBytes<SigningKeyKind>
package typealias LoginSignature = FixedBytes<SignatureKind>
package typealias PrekeyBytes = FixedBytes<PrekeyKind>
package typealias PrekeySignature = FixedBytes<SignatureKind>
package typealias TransferID = FixedBytes<TransferKind>
package typealias PullRequestID = FixedBytes<PullRequestKind>
package typealias Token = FixedBytes<TokenKind>

/// Which half of a transfer a token opens.
package enum TransferRole: String, Codable, Hashable, Sendable, CaseIterable {
    /// The sender's half: `PUT` or `POST /upload`.
    case upload
    /// The receiver's half: `GET /download`.
    case download
}
