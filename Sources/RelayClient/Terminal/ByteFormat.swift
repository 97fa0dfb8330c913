// SPDX-License-Identifier: Apache-2.0

/// Numbers of bytes for people: SI units (1 kB is 1,000 bytes), three digits at least where there are decimals.
enum ByteFormat {
    /// `bytes` as `999 B`, `1.23 kB`, `45.6 MB`, `789 GB`.
    static func string(_ bytes: UInt64) -> String {
        guard bytes >= 1000 else { return "\(bytes) B" }
        var scale: UInt64 = 1000
        for unit in units {
            // As many decimals as leave three digits after rounding; with none that do, the next unit.
            for (decimals, power) in [(2, UInt64(100)), (1, 10), (0, 1)] {
                let rounded = divided(bytes, scale / power)
                if rounded < 1000 || (decimals == 0 && unit == units.last) {
                    return text(rounded, power: power, decimals: decimals) + " " + unit
                }
            }
            if unit != units.last { scale *= 1000 }
        }
        return "\(bytes) B"
    }

    private static let units = ["kB", "MB", "GB", "TB", "PB", "EB"]

    /// `value / divisor`, rounded half up.
    private static func divided(_ value: UInt64, _ divisor: UInt64) -> UInt64 {
        value / divisor + (value % divisor >= divisor - divisor / 2 ? 1 : 0)
    }

    private static func text(_ value: UInt64, power: UInt64, decimals: Int) -> String {
        guard decimals > 0 else { return "\(value)" }
        let fraction = String(value % power)
        return "\(value / power)." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}
