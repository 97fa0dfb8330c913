// SPDX-License-Identifier: Apache-2.0

/// A point in calendar time, in whole seconds since 1970-01-01 00:00:00 UTC.
///
/// For what has to outlive the process (an invitation's expiry). Everything else uses the monotonic clock.
package struct UnixTime: Hashable, Sendable, Comparable, Codable {
    package var seconds: Int64

    package static func < (left: UnixTime, right: UnixTime) -> Bool { left.seconds < right.seconds }

    /// `interval` seconds later; stays at the ends of the range instead of overflowing.
    func advanced(by interval: Int64) -> UnixTime {
        let (sum, overflow) = seconds.addingReportingOverflow(interval)
        return UnixTime(seconds: overflow ? (interval < 0 ? .min : .max) : sum)
    }

    package init(seconds: Int64) { self.seconds = seconds }

    package init(from decoder: any Decoder) throws {
        seconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(seconds)
    }
}
