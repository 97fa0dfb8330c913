// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// The grammar of RFC 8259 in UTF-8, without what it leaves to the reader: no byte order mark, no key twice in an
/// object, no half of a surrogate pair, no number but whole ones of 64 bits: for `1.0` and `1e3`, some readers have a
/// whole number, and some none. One pass over the text, which it does not keep.
package struct JSONGrammar {
    /// Why a text is not taken.
    package enum Fault: Error, Hashable, Sendable {
        /// Not JSON, from this byte on.
        case malformed(at: Int)
        /// The object has this key twice.
        case duplicate(key: String)
        /// Arrays and objects within more than ``ProtocolDefaults/jsonDepth`` others.
        case tooDeep
    }

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The whole text: one value, and blanks around it.
    mutating func text() throws(Fault) {
        try value()
        skipBlanks()
        guard position == bytes.count else { throw malformed }
    }

    private var malformed: Fault { .malformed(at: position) }
    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(Fault) {
        guard take(byte) else { throw malformed }
    }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func value() throws(Fault) {
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): try within { (grammar) throws(Fault) in try grammar.object() }
        case UInt8(ascii: "["): try within { (grammar) throws(Fault) in try grammar.array() }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: try number()
        }
    }

    private mutating func word(_ word: StaticString) throws(Fault) {
        for byte in word.description.utf8 { try expect(byte) }
    }

    // MARK: - Arrays and objects

    private mutating func within(_ body: (inout Self) throws(Fault) -> Void) throws(Fault) {
        guard depth < ProtocolDefaults.jsonDepth else { throw .tooDeep }
        depth += 1
        position += 1
        try body(&self)
        depth -= 1
    }

    private mutating func array() throws(Fault) {
        skipBlanks()
        if take(UInt8(ascii: "]")) { return }
        repeat {
            try value()
            skipBlanks()
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
    }

    private mutating func object() throws(Fault) {
        skipBlanks()
        if take(UInt8(ascii: "}")) { return }
        // Short keys live in the set itself. What Swift holds for the same text is the same key to its decoder.
        var keys: Set<String> = []
        repeat {
            skipBlanks()
            let key = try self.key()
            guard keys.insert(key).inserted else { throw .duplicate(key: key) }
            skipBlanks()
            try expect(UInt8(ascii: ":"))
            try value()
            skipBlanks()
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    private mutating func key() throws(Fault) -> String {
        let start = position
        let hasEscapes = try string()
        guard hasEscapes else { return String(decoding: bytes[(start + 1)..<(position - 1)], as: UTF8.self) }
        return Self.unescaped(bytes[(start + 1)..<(position - 1)])
    }

    // MARK: - Strings

    /// Passes a string; whether anything in it was escaped.
    @discardableResult
    private mutating func string() throws(Fault) -> Bool {
        var hasEscapes = false
        var characters = UTF8Validator()
        try expect(UInt8(ascii: "\""))
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\"") where characters.isComplete:
                position += 1
                return hasEscapes
            case UInt8(ascii: "\\") where characters.isComplete:
                position += 1
                hasEscapes = true
                try escape()
            case 0x20...:
                guard characters.accept(byte) else { throw malformed }
                position += 1
            default: throw malformed
            }
        }
        throw malformed
    }

    private mutating func escape() throws(Fault) {
        guard let byte = next else { throw malformed }
        guard byte == UInt8(ascii: "u") else {
            guard Self.shortEscapes[byte] != nil else { throw malformed }
            position += 1
            return
        }
        switch try codeUnit() {
        case 0xD800...0xDBFF:
            try expect(UInt8(ascii: "\\"))
            guard next == UInt8(ascii: "u"), (0xDC00...0xDFFF).contains(try codeUnit()) else { throw malformed }
        case 0xDC00...0xDFFF: throw malformed
        default: break
        }
    }

    /// What stands behind the backslash of a `\u` escape.
    private mutating func codeUnit() throws(Fault) -> UInt16 {
        position += 1
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Self.hexDigit(byte) else { throw malformed }
            unit = unit << 4 | digit
            position += 1
        }
        return unit
    }

    private static let shortEscapes: [UInt8: UInt16] = [
        UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]

    private static func hexDigit(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }

    /// The text of a string that has passed.
    private static func unescaped(_ raw: ArraySlice<UInt8>) -> String {
        var units: [UInt16] = []
        var rest = String(decoding: raw, as: UTF8.self).utf16[...]
        while let unit = rest.popFirst() {
            guard unit == 0x5C, let kind = rest.popFirst() else {
                units.append(unit)
                continue
            }
            if let short = shortEscapes[UInt8(truncatingIfNeeded: kind)] {
                units.append(short)
            } else {
                units.append(rest.prefix(4).reduce(0) { $0 << 4 | (hexDigit(UInt8(truncatingIfNeeded: $1)) ?? 0) })
                rest = rest.dropFirst(4)
            }
        }
        return String(decoding: units, as: UTF16.self)
    }

    // MARK: - Numbers

    private mutating func number() throws(Fault) {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) {
            while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard text != "-0", UInt64(text) != nil || Int64(text) != nil else {
            position = start
            throw malformed
        }
    }
}

/// JSON from outside, read so that no other reader can see something else in it. Foundation's decoder takes a byte
/// order mark, UTF-16, commas at the end, `007`, `\q`, a key twice; a program in between that reads the same text may
/// see something else in it. So each text is checked against ``JSONGrammar`` first. The only place that makes a
/// decoder or an encoder.
package struct StrictJSON: Sendable {
    private let text: Data

    /// Throws what is wrong with `bytes`, if they are not exactly one JSON value.
    package init(_ bytes: some Sequence<UInt8>) throws(JSONGrammar.Fault) {
        let bytes = Array(bytes)
        var grammar = JSONGrammar(bytes)
        try grammar.text()
        text = Data(bytes)
    }

    /// The value; nil when it is not of the form of a `Value`.
    package func decode<Value: Decodable>(_: Value.Type = Value.self) -> Value? {
        try? JSONDecoder().decode(Value.self, from: text)
    }

    /// Reads `bytes`; nil when they are not JSON, or not of the form of a `Value`.
    package static func decode<Value: Decodable>(_: Value.Type, from bytes: some Sequence<UInt8>) -> Value? {
        (try? StrictJSON(bytes))?.decode()
    }

    /// The text of `value` in one line. Its keys are sorted, so that equal values have equal texts.
    package static func encode(_ value: some Encodable) throws -> String {
        String(decoding: try data(of: value), as: UTF8.self)
    }

    /// As ``encode(_:)``, or on several lines, for files that people read.
    package static func data(of value: some Encodable, isIndented: Bool = false) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if isIndented { encoder.outputFormatting.insert(.prettyPrinted) }
        return try encoder.encode(value)
    }
}
