// SPDX-License-Identifier: Apache-2.0

/// A calendar month (UTC), counted from the year 0: twelve times the year, and the month from 0.
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt32

    package init(number: UInt32) { self.number = number }

    /// The month that a time is in.
    ///
    /// - Parameter milliseconds: since 1970 (UTC).
    package init(milliseconds: UInt64) {
        // Days of the proleptic Gregorian calendar, in years that begin in March and eras of 400 years.
        let day = milliseconds / 86_400_000 + 719_468
        let dayOfEra = day % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let year = day / 146_097 * 400 + yearOfEra
        number = UInt32(clamping: year * 12 + monthFromMarch + 2)
    }

    /// The next month; nil behind the last one that has a number.
    var next: Epoch? { number < .max ? Epoch(number: number + 1) : nil }

    /// How many months lie between two.
    func distance(to other: Epoch) -> UInt32 { max(number, other.number) - min(number, other.number) }

    package static func < (first: Epoch, second: Epoch) -> Bool { first.number < second.number }

    /// `2026-11`.
    package var description: String {
        let month = number % 12 + 1
        return "\(number / 12)-\(month < 10 ? "0" : "")\(month)"
    }
}
