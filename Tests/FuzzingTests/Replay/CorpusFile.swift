// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The committed inputs of a decoder: `Tests/corpora/NAME.txt`, an input a line. Printable ASCII stands for itself, all
/// else is written `\n`, `\r`, `\t`, `\\` or `\xNN`. A line that begins with `#` says what the next one has shown.
enum CorpusFile {
    /// Why a file cannot be read.
    struct Malformed: Error {
        let line: Int
    }

    /// The inputs for the decoder of that name.
    static func inputs(of name: String) throws -> [[UInt8]] {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { folder.deleteLastPathComponent() }
        let text = try String(contentsOf: folder.appendingPathComponent("corpora/\(name).txt"), encoding: .utf8)
        var inputs: [[UInt8]] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().enumerated()
        where !line.hasPrefix("#") {
            guard let input = decode(line) else { throw Malformed(line: index + 1) }
            inputs.append(input)
        }
        return inputs
    }

    private static func decode(_ line: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(line.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "x"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard let value = UInt8(digits, radix: 16), digits.utf8.count == 2 else { return nil }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default: return nil
            }
        }
        return bytes
    }
}
