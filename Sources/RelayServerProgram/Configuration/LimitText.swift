// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TransferBroker

/// A limit as people write it: `transfers=10`, `rate=5M`, `day=off`.
struct LimitText: Hashable, Sendable {
    let name: LimitName
    /// 0 for `off`; nil for `default`.
    let value: Int64?

    /// How it is written, for help and error messages.
    static let grammar =
        "a limit is written NAME=VALUE: \(LimitName.allCases.map(\.rawValue).joined(separator: ", ")); "
        + "rate and day take sizes, such as 5M or 20G"

    /// Reads `text`.
    ///
    /// - Parameter takesDefault: whether `default` is a value.
    /// - Throws: `ValidationError`.
    init(_ text: String, takesDefault: Bool) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let name = LimitName(rawValue: Pasted.trimmed(String(parts[0]))) else {
            throw ValidationError("\"\(text)\" is not a limit; \(Self.grammar)")
        }
        self.name = name
        let text = Pasted.trimmed(String(parts[1]))
        switch text {
        case "off": value = 0
        case "default" where takesDefault: value = nil
        default:
            let number = name.isBytes ? Int64(clamping: try ByteSize(text).bytes) : Int64(text)
            guard let number, name.range.contains(number) else {
                throw ValidationError(
                    "\(name.rawValue) goes from \(Self.text(name, name.range.lowerBound)) to "
                        + "\(Self.text(name, name.range.upperBound)), or is off")
            }
            value = number
        }
    }

    /// A value as it would be written.
    static func text(_ name: LimitName, _ value: Int64) -> String {
        guard value != 0 else { return "off" }
        guard name.isBytes else { return "\(value)" }
        for (shift, letter) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] where value % (1 << shift) == 0 {
            return "\(value >> shift)\(letter)"
        }
        return "\(value)"
    }
}
