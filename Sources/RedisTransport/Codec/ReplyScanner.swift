// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Looks at bytes before hiredis does, and stops those that hiredis would take too seriously.
///
/// hiredis keeps all of an unfinished bulk string, however long it says it is, looks for the end of an unfinished line
/// from its beginning each time, takes any two bytes for the end of a bulk string, and from 1.0 on reads RESP 3 too.
/// So: type bytes of RESP 2 only, numbers of plain digits, lengths and lines within the limits, and each CR LF where it
/// belongs.
struct ReplyScanner {
    private enum Number: Hashable {
        case integer
        case bulkLength
        case arrayLength
    }

    private enum Position: Hashable {
        case type
        /// In a status or an error; `length` bytes so far.
        case text(length: Int)
        /// In a number; `value` is not kept for integers, which only hiredis reads.
        case number(Number, isNegative: Bool, digits: Int, value: Int)
        /// Behind the CR of a line, `body` bytes of a bulk string follow it.
        case lineFeed(body: Int?)
        case body(remaining: Int)
        case bodyReturn
        case bodyFeed
    }

    /// The most digits of a 64-bit number.
    private static let integerDigits = 19
    private var position = Position.type

    /// Goes over the next bytes.
    ///
    /// - Throws: `protocolViolation`; the connection is of no use then.
    mutating func scan(_ bytes: ByteBufferView) throws(RedisError) {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if case .body(let remaining) = position {
                let count = min(remaining, bytes.endIndex - index)
                index += count
                position = count == remaining ? .bodyReturn : .body(remaining: remaining - count)
            } else {
                position = try next(bytes[index])
                index += 1
            }
        }
    }

    private func next(_ byte: UInt8) throws(RedisError) -> Position {
        switch position {
        case .type: return try Self.begin(byte)
        case .text(let length): return try Self.text(byte, length)
        case .number(let number, let isNegative, let digits, let value):
            return try Self.number(byte, number, isNegative, digits, value)
        case .lineFeed(let body):
            guard byte == UInt8(ascii: "\n") else { throw Self.violation("a line does not end with CR LF") }
            guard let body else { return .type }
            return body == 0 ? .bodyReturn : .body(remaining: body)
        case .body: return position
        case .bodyReturn:
            guard byte == UInt8(ascii: "\r") else { throw Self.violation("a bulk string is longer than it says") }
            return .bodyFeed
        case .bodyFeed:
            guard byte == UInt8(ascii: "\n") else { throw Self.violation("a bulk string is longer than it says") }
            return .type
        }
    }

    private static func begin(_ byte: UInt8) throws(RedisError) -> Position {
        switch byte {
        case UInt8(ascii: "+"), UInt8(ascii: "-"): return .text(length: 0)
        case UInt8(ascii: ":"): return .number(.integer, isNegative: false, digits: 0, value: 0)
        case UInt8(ascii: "$"): return .number(.bulkLength, isNegative: false, digits: 0, value: 0)
        case UInt8(ascii: "*"): return .number(.arrayLength, isNegative: false, digits: 0, value: 0)
        default: throw violation("it begins with a byte that no reply begins with")
        }
    }

    private static func text(_ byte: UInt8, _ length: Int) throws(RedisError) -> Position {
        if byte == UInt8(ascii: "\r") { return .lineFeed(body: nil) }
        guard byte != UInt8(ascii: "\n") else { throw violation("a line does not end with CR LF") }
        guard length < RedisDefaults.lineLength else { throw violation("a line is too long") }
        return .text(length: length + 1)
    }

    private static func number(
        _ byte: UInt8, _ number: Number, _ isNegative: Bool, _ digits: Int, _ value: Int
    ) throws(RedisError) -> Position {
        switch byte {
        case UInt8(ascii: "-") where digits == 0 && !isNegative:
            return .number(number, isNegative: true, digits: 0, value: 0)
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            guard digits < integerDigits else { throw violation("a number is too long") }
            guard number != .integer else {
                return .number(number, isNegative: isNegative, digits: digits + 1, value: 0)
            }
            // No overflow: what is above the limit ends here, and the limits are far from the end of an Int.
            let value = value * 10 + Int(byte - UInt8(ascii: "0"))
            let limit = number == .bulkLength ? RedisDefaults.bulkLength : RedisDefaults.replyElements
            guard value <= limit else { throw violation("a length is above the limit") }
            return .number(number, isNegative: isNegative, digits: digits + 1, value: value)
        case UInt8(ascii: "\r") where digits > 0:
            switch number {
            case .integer: return .lineFeed(body: nil)
            case .bulkLength, .arrayLength:
                guard !isNegative || value == 1 else { throw violation("a length is negative") }
                return .lineFeed(body: isNegative || number == .arrayLength ? nil : value)
            }
        default: throw violation("a number has other characters than digits")
        }
    }

    private static func violation(_ message: String) -> RedisError {
        RedisError(.protocolViolation, message)
    }
}
