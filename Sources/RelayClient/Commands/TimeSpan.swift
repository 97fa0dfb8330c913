// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import NIOCore

/// A length of time as people write it: `500ms`, `30s`, `10m`, `24h`; a bare number means seconds.
struct TimeSpan: Hashable, Sendable, ExpressibleByArgument {
    let amount: TimeAmount

    /// How long `send` waits unless it is told otherwise.
    static let patience = TimeSpan(amount: Defaults.patience)

    /// How it is written.
    var defaultValueDescription: String { "\(amount.nanoseconds / 60_000_000_000)m" }

    private init(amount: TimeAmount) { self.amount = amount }

    /// Returns nil for anything else, and for more than a year.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let factors: [Substring: Int64] = ["ms": 1, "s": 1_000, "": 1_000, "m": 60_000, "h": 3_600_000]
        guard let number = Int64(digits), let factor = factors[argument.dropFirst(digits.count)] else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow, milliseconds <= 365 * 24 * 3_600_000 else { return nil }
        amount = .milliseconds(milliseconds)
    }
}
