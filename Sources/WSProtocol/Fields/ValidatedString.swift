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
