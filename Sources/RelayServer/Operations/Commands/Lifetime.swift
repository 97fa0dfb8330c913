// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A span of time as people write it: `90s`, `30m`, `24h`, `7d`.
struct Lifetime: Hashable, Sendable, ExpressibleByArgument {
    /// At least 1.
    var seconds: Int64

    init(seconds: Int64) { self.seconds = seconds }

    /// Nil when `argument` is not of that form, is zero, or is longer than an invitation may live.
    init?(argument: String) {
        let unit: Int64
        switch argument.last {
        case "s": unit = 1
        case "m": unit = 60
        case "h": unit = 60 * 60
        case "d": unit = 24 * 60 * 60
        default: return nil
        }
        let digits = argument.dropLast()
        guard (1...9).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(digits)
        else { return nil }
        let (seconds, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, (1...Defaults.Users.maximumInvitationLifetime).contains(seconds) else { return nil }
        self.seconds = seconds
    }

    var defaultValueDescription: String {
        for (unit, letter) in [(86_400 * 2, "d"), (3600, "h"), (60, "m")] as [(Int64, String)]
        where seconds % unit == 0 {
            return letter == "d" ? "\(seconds / 86_400)d" : "\(seconds / unit)\(letter)"
        }
        return "\(seconds)s"
    }
}
