// SPDX-License-Identifier: Apache-2.0

import Crypto
import WSProtocol

/// A short form of a signing key for two people to compare, on the phone for example: the first 128 bits of its
/// SHA-256, as eight groups of four hexadecimal digits.
struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    /// `3f2a 91c0 …`: eight groups.
    let description: String

    /// The fingerprint of `key`.
    init(of key: SigningKey) {
        let digest = Array(SHA256.hash(data: key.bytes))
        let groups = stride(from: 0, to: 16, by: 2).map { index in
            Self.hex(digest[index]) + Self.hex(digest[index + 1])
        }
        description = groups.joined(separator: " ")
    }

    private static func hex(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
