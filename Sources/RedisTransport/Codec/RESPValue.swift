// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// One reply of Redis (RESP 2), as values that own their memory.
package indirect enum RESPValue: Hashable, Sendable {
    /// A status, such as `OK`.
    case simple(String)
    /// An error: its code, a blank, a message.
    case error(String)
    /// A number.
    case integer(Int64)
    /// Bytes.
    case bulk(ByteBuffer)
    /// Several values.
    case array([RESPValue])
    /// The null bulk string, or the null array.
    case null

    /// The bytes of a bulk string.
    package var bytes: ByteBuffer? {
        if case .bulk(let bytes) = self { bytes } else { nil }
    }

    /// The text of a status, or of a bulk string that is UTF-8.
    package var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes): String(validating: bytes.readableBytesView, as: UTF8.self)
        case .error, .integer, .array, .null: nil
        }
    }

    /// The number of an integer.
    package var number: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }

    /// The values of an array.
    package var elements: [RESPValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }
}
