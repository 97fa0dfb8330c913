// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What two people read to each other to know that an identity is the right one: 125 bits of a hash of its key, as five
/// groups of five characters of Crockford's base 32.
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    /// `4q7xm-0c2ke-…`.
    package let description: String

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    private static let length = 25
    private static let group = 5

    /// The fingerprint of `key`.
    package init(of key: SigningKey) {
        var writer = FieldWriter(.fingerprint)
        writer.raw(key.bytes)
        let digest = KeyDerivation.hash(writer.bytes)
        let characters = (0..<Self.length).map { index in
            Self.alphabet[(0..<5).reduce(0) { $0 << 1 | Self.bit(index * 5 + $1, of: digest) }]
        }
        self.init(canonical: characters)
    }

    /// Reads what a person typed or pasted: in upper or lower case, `o` for 0, `i` and `l` for 1, with hyphens and
    /// blanks anywhere. Nil when it is anything else than 25 characters.
    package init?(text: String) {
        var characters: [UInt8] = []
        for byte in text.utf8 where byte != UInt8(ascii: "-") && !Self.isBlank(byte) {
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            let read: UInt8 =
                switch lower {
                case UInt8(ascii: "o"): UInt8(ascii: "0")
                case UInt8(ascii: "i"), UInt8(ascii: "l"): UInt8(ascii: "1")
                default: lower
                }
            guard characters.count < Self.length, Self.alphabet.contains(read) else { return nil }
            characters.append(read)
        }
        guard characters.count == Self.length else { return nil }
        self.init(canonical: characters)
    }

    private init(canonical characters: [UInt8]) {
        description = stride(from: 0, to: characters.count, by: Self.group).map {
            String(decoding: characters[$0..<($0 + Self.group)], as: UTF8.self)
        }.joined(separator: "-")
    }

    /// Bit 0 is the most significant one.
    private static func bit(_ index: Int, of bytes: [UInt8]) -> Int { Int(bytes[index / 8] >> (7 - index % 8)) & 1 }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
