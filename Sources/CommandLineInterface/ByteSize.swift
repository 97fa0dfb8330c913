// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A number of bytes as people write it: `500`, `64K`, `10M`, `1.5G`, `1T`, with `B` or `iB` behind it if they like;
/// the letters mean powers of 1024, in either case.
package struct ByteSize: Hashable, Sendable {
    package let bytes: UInt64

    /// How it is written, for an error message.
    package static let grammar = "a size is written 500K, 10M, 1.5G or 1T, in powers of 1024; a bare number means bytes"

    /// Reads `text`.
    /// - Throws: `ValidationError` with the grammar when it is not written so, is not a whole number of bytes, or more
    ///   than 64 bits hold.
    package init(_ text: String) throws {
        let text = Pasted.trimmed(text)
        let digits = text.prefix { $0 == "." || ($0.isASCII && $0.isNumber) }
        let unit = text.dropFirst(digits.count).lowercased()
        let letter = unit.hasSuffix("ib") ? unit.dropLast(2) : unit.hasSuffix("b") ? unit.dropLast() : unit[...]
        let shifts: [Substring: UInt64] = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40]
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard let shift = shifts[letter], let whole = parts.first.flatMap({ UInt64($0) }), parts.count <= 2 else {
            throw ValidationError(Self.grammar)
        }
        let (bytes, isTooLarge) = whole.multipliedReportingOverflow(by: 1 << shift)
        guard !isTooLarge else { throw ValidationError("that is more than there are bytes; \(Self.grammar)") }
        let fraction = parts.count == 2 ? try Self.fraction(parts[1], shift: shift) : 0
        let (sum, overflow) = bytes.addingReportingOverflow(fraction)
        guard !overflow else { throw ValidationError("that is more than there are bytes; \(Self.grammar)") }
        self.bytes = sum
    }

    /// The bytes that the digits behind the point mean.
    private static func fraction(_ digits: Substring, shift: UInt64) throws -> UInt64 {
        guard let number = UInt64(digits) else { throw ValidationError(grammar) }
        var (scale, overflow) = (UInt64(1), false)
        for _ in digits where !overflow { (scale, overflow) = scale.multipliedReportingOverflow(by: 10) }
        // Less than `scale` times the unit, so the quotient fits.
        let divided = overflow ? nil : scale.dividingFullWidth(number.multipliedFullWidth(by: 1 << shift))
        guard let divided, divided.remainder == 0 else {
            throw ValidationError("that is not a whole number of bytes; \(grammar)")
        }
        return divided.quotient
    }
}
