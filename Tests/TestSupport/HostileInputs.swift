// SPDX-License-Identifier: Apache-2.0

/// What a hostile peer may give to a decoder: valid inputs with random damage, every fourth one only random bytes.
/// A seed gives the same inputs in every run.
package struct HostileInputs: Sequence, IteratorProtocol {
    /// One of them.
    package struct Input: CustomStringConvertible {
        package let bytes: [UInt8]
        /// Which one, for the message of a test that fails.
        package let description: String

        /// The bytes as text, whatever they are.
        package var text: String { String(decoding: bytes, as: UTF8.self) }

        /// The bytes in pieces of one byte.
        package var single: [[UInt8]] { bytes.map { [$0] } }
    }

    /// What tends to go wrong in numbers, nesting, lengths and encodings.
    private static let splinters: [[UInt8]] =
        [
            "0", "-1", "1.5", "1e999", "9223372036854775808", "18446744073709551616", "null", "true", "\"", "\\",
            "\\ud800",
            "{", "}", "[", "]", "\r\n", "\r\n\r\n", "\n", " ", ",", ":", "é", "\u{202E}", "\0",
        ].map { Array($0.utf8) } + [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80]]

    private let valid: [[UInt8]]
    private let seed: UInt64
    private let count: Int
    private var number = 0
    private var generator: SeededGenerator

    /// - Parameter valid: inputs that the decoder takes, or nearly; at least one.
    package init(damaging valid: [[UInt8]], seed: UInt64, count: Int = 4000) {
        self.valid = valid
        self.seed = seed
        self.count = count
        generator = SeededGenerator(seed: seed)
    }

    /// The same, of texts.
    package init(damaging valid: [String], seed: UInt64, count: Int = 4000) {
        self.init(damaging: valid.map { Array($0.utf8) }, seed: seed, count: count)
    }

    package mutating func next() -> Input? {
        guard number < count else { return nil }
        number += 1
        var bytes: [UInt8]
        if number.isMultiple(of: 4) {
            bytes = generator.bytes(.random(in: 0...120, using: &generator))
        } else {
            bytes = valid.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &generator) { damage(&bytes) }
        }
        return Input(bytes: bytes, description: "input \(number) of seed \(seed): \(bytes)")
    }

    private mutating func damage(_ bytes: inout [UInt8]) {
        let start = Int.random(in: 0...bytes.count, using: &generator)
        let end = Int.random(in: start...Swift.min(bytes.count, start + 24), using: &generator)
        switch Int.random(in: 0..<8, using: &generator) {
        case 0 where start < bytes.count: bytes[start] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1 where start < bytes.count: bytes[start] = .random(in: .min ... .max, using: &generator)
        case 2: bytes.removeSubrange(start..<end)
        case 3: bytes.insert(contentsOf: bytes[start..<end], at: end)
        case 4: bytes.removeSubrange(start...)
        case 5:
            // The end of another one.
            let other = valid.randomElement(using: &generator) ?? []
            bytes.replaceSubrange(start..., with: other.dropFirst(.random(in: 0...other.count, using: &generator)))
        case 6: bytes.replaceSubrange(start..<end, with: Self.splinters.randomElement(using: &generator) ?? [])
        default: bytes.insert(contentsOf: Self.splinters.randomElement(using: &generator) ?? [], at: start)
        }
    }
}
