// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import NIOCore
import WSProtocol

/// One JSON value to and from one line.
enum AdminLine {
    /// `value` as JSON, which has no line feed in it, and a line feed.
    static func encode(_ value: some Encodable) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var line = ByteBuffer(bytes: try encoder.encode(value))
        line.writeInteger(UInt8(ascii: "\n"))
        return line
    }

    /// Reads `line`; nil when it is not a `Value`.
    static func decode<Value: Decodable>(_: Value.Type, _ line: ByteBuffer) -> Value? {
        StrictJSON.decode(Value.self, from: line.readableBytesView)
    }
}
