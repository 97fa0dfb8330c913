// SPDX-License-Identifier: Apache-2.0

/// A string field of a message that is checked once, when it is made, and needs no second look afterwards.
///
/// Decoding one from JSON fails when the text is not of the field's form, so a decoded message holds valid fields only.
package protocol ValidatedString: RawRepresentable, Codable, CustomStringConvertible where RawValue == String {
    /// Returns nil when `rawValue` is not of the field's form.
    init?(rawValue: String)
}

extension ValidatedString {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Self(rawValue: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a valid \(Self.self)")
            )
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    package var description: String { rawValue }
}

/// The name a person or machine is known by on a relay: `[a-z0-9][a-z0-9._-]{0,62}`.
///
/// The alphabet is lower case so that two names never differ by case alone, and it is safe in a shell, a log line
/// and a key of a key-value store.
package struct PeerName: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    /// The longest name, in bytes.
    package static let maximumLength = 63

    /// What a name is, for an error message.
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

/// Joins a reply to its request: 1 to 64 characters of `[A-Za-z0-9_-]`, chosen by the sender of the request.
package struct RequestID: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        guard (1...64).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(Base64URL.contains) else { return nil }
        self.rawValue = rawValue
    }

    /// The `number`th id of a sequence, with a prefix that tells whose sequence it is.
    package static func sequence(_ prefix: Prefix, _ number: UInt64) -> RequestID {
        RequestID(unchecked: "\(prefix.rawValue)\(number)")
    }

    /// Stands in an `error` that answers a message whose own id could not be read.
    package static let unknown = RequestID(unchecked: "0")

    /// Whose sequence an id belongs to.
    package enum Prefix: String, Sendable {
        case client = "c"
        case relay = "r"
    }

    private init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// The single-use secret that lets a new name register: 1 to 64 characters of `[A-Za-z0-9_-]`.
package struct InvitationCode: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package var description: String { "[redacted]" }

    package init?(rawValue: String) {
        guard (1...64).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(Base64URL.contains) else { return nil }
        self.rawValue = rawValue
    }
}

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
