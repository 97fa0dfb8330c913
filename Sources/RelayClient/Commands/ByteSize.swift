// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A number of bytes as people write it: `500`, `64K`, `10M`, `2G`, `1T`, with `B` or `iB` behind it if they like; the
/// letters mean powers of 1024.
struct ByteSize: Hashable, Sendable, ExpressibleByArgument {
    let bytes: UInt64

    /// Returns nil for anything else, and for more than 64 bits hold.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let unit = argument.dropFirst(digits.count).lowercased()
        let units: [String: UInt64] = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40]
        let letter = unit.hasSuffix("ib") ? unit.dropLast(2) : unit.hasSuffix("b") ? unit.dropLast() : unit[...]
        guard let shift = units[String(letter)] else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        guard !overflow else { return nil }
        self.bytes = bytes
    }
}
