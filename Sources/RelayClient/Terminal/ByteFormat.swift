// SPDX-License-Identifier: Apache-2.0

/// Numbers of bytes for people: SI units (1 kB is 1,000 bytes), three digits at least where there are decimals.
enum ByteFormat {
    /// `bytes` as `999 B`, `1.23 kB`, `45.6 MB`, `789 GB`.
    static func string(_ bytes: UInt64) -> String {
        guard bytes >= 1000 else { return "\(bytes) B" }
        var unit = 0
        var scale: UInt64 = 1000
        // The next unit begins where rounding would print 1000 of this one.
        while unit + 1 < units.count, bytes / scale >= 1000 || roundsToThousand(bytes, scale) {
            unit += 1
            scale *= 1000
        }
        let whole = bytes / scale
        let decimals = whole < 10 ? 2 : whole < 100 ? 1 : 0
        return fixed(bytes, scale, decimals: decimals) + " " + units[unit]
    }

    private static let units = ["kB", "MB", "GB", "TB", "PB", "EB"]

    private static func roundsToThousand(_ bytes: UInt64, _ scale: UInt64) -> Bool {
        bytes / scale == 999 && bytes % scale >= scale / 2
    }

    /// `bytes / scale` with exactly `decimals` digits behind the point, rounded half up, in whole numbers throughout.
    private static func fixed(_ bytes: UInt64, _ scale: UInt64, decimals: Int) -> String {
        let power: UInt64 = decimals == 2 ? 100 : decimals == 1 ? 10 : 1
        let step = scale / power
        let rounded = bytes / step + (bytes % step >= step - step / 2 ? 1 : 0)
        guard decimals > 0 else { return "\(rounded)" }
        let fraction = String(rounded % power)
        return "\(rounded / power)." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}
