// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A length of time as people write it: `90s`, `10m`, `24h`, `7d`, `500ms`, or several of these, such as `1h30m`; a
/// bare number means seconds.
package struct TimeSpan: Hashable, Sendable, CustomStringConvertible {
    /// At least 0, at most ``longest``.
    package let milliseconds: Int64

    /// How it is written, for an error message.
    static let grammar = "a time is written 500ms, 90s, 10m, 24h or 7d, or 1h30m; a bare number means seconds"

    /// The longest span, in milliseconds: a leap year.
    private static let longest: Int64 = 366 * 86_400_000
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// One that is known to be of use.
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Reads `text`.
    /// - Throws: `ValidationError` with the grammar when it is not written so, or is longer than 366 days.
    package init(_ text: String) throws {
        guard let sum = Self.sum(Pasted.trimmed(text)) else { throw ValidationError(Self.grammar) }
        guard sum <= Self.longest else { throw ValidationError("a time is 366d at most") }
        milliseconds = sum
    }

    /// Each unit at most once, the largest first.
    private static func sum(_ text: String) -> Int64? {
        if let seconds = Int64(text), text.utf8.allSatisfy(isDigit) { return seconds.multipliedSafely(by: 1_000) }
        var (rest, sum, units) = (text[...], Int64(0), Self.units[...])
        repeat {
            let digits = rest.prefix { $0.utf8.allSatisfy(isDigit) }
            let name = rest.dropFirst(digits.count).prefix { $0.isLetter }
            guard let number = Int64(digits), let index = units.firstIndex(where: { $0.name == name }),
                let part = number.multipliedSafely(by: units[index].milliseconds)
            else { return nil }
            let (next, overflow) = sum.addingReportingOverflow(part)
            guard !overflow else { return nil }
            (sum, units) = (next, units[(index + 1)...])
            rest = rest.dropFirst(digits.count + name.count)
        } while !rest.isEmpty
        return sum
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// As short as it can be written.
    package var description: String {
        var (rest, text) = (milliseconds, "")
        for unit in Self.units where rest >= unit.milliseconds {
            // A day is printed as 24 hours, which leaves no doubt when it ends.
            if unit.name == "d", rest < 2 * unit.milliseconds { continue }
            text += "\(rest / unit.milliseconds)\(unit.name)"
            rest %= unit.milliseconds
        }
        return text.isEmpty ? "0s" : text
    }
}

extension Int64 {
    fileprivate func multipliedSafely(by factor: Int64) -> Int64? {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }
}
