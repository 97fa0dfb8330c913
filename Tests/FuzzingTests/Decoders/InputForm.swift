// SPDX-License-Identifier: Apache-2.0

/// What inputs of a decoder consist of, where that is more than bytes: the fuzzer changes parts as a whole too, and
/// keeps right what says how long they are.
enum InputForm: Hashable, Sendable {
    case bytes
    /// Lines, with their line feeds.
    case lines
    /// Records, each `kind ‖ length ‖ body`, behind what says what is done with them. The length has so many bytes.
    case records(lengthBytes: Int, prefix: Prefix)

    /// What stands in front of the records.
    enum Prefix: Hashable, Sendable {
        /// So many bytes.
        case bytes(Int)
        /// A choice, and four bytes of a ``Damage`` where its lowest bit says so.
        case damage
    }

    /// An input in parts that joined are the input.
    struct Parts: Hashable {
        var prefix: [UInt8]
        var parts: [[UInt8]]
        /// What is no whole part.
        var rest: [UInt8]

        var joined: [UInt8] { prefix + parts.joined() + rest }
    }

    func parts(of input: [UInt8]) -> Parts {
        switch self {
        case .bytes: return Parts(prefix: [], parts: [], rest: input)
        case .lines:
            var parts: [[UInt8]] = []
            var rest = input[...]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                parts.append(Array(rest[...end]))
                rest = rest[(end + 1)...]
            }
            return Parts(prefix: [], parts: parts, rest: Array(rest))
        case .records(let lengthBytes, let prefix):
            let before =
                switch prefix {
                case .bytes(let count): count
                case .damage: (input.first ?? 0) & 1 == 0 ? 1 : 5
                }
            var parts: [[UInt8]] = []
            var rest = input.dropFirst(before)
            while rest.count > lengthBytes {
                let length = rest.dropFirst().prefix(lengthBytes).reduce(0) { $0 << 8 | Int($1) }
                guard length <= rest.count - 1 - lengthBytes else { break }
                parts.append(Array(rest.prefix(1 + lengthBytes + length)))
                rest = rest.dropFirst(1 + lengthBytes + length)
            }
            return Parts(prefix: Array(input.prefix(before)), parts: parts, rest: Array(rest))
        }
    }

    /// How much of a part stands before what it says.
    var headLength: Int {
        if case .records(let lengthBytes, _) = self { 1 + lengthBytes } else { 0 }
    }

    /// A part with another body.
    func part(_ part: [UInt8], body: [UInt8]) -> [UInt8] {
        guard case .records(let lengthBytes, _) = self, let kind = part.first else { return body }
        let length = stride(from: 8 * (lengthBytes - 1), through: 0, by: -8).map {
            UInt8(truncatingIfNeeded: body.count >> $0)
        }
        return [kind] + length + body
    }
}
