// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The time of day: what is compared with other computers, and kept beyond the end of a process.
enum WallClock {
    /// Milliseconds since 1970 (UTC); 0 where the clock stands before that.
    static func milliseconds() -> UInt64 {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_REALTIME, &time) == 0, time.tv_sec >= 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000
    }

    /// `2026-11-28T22:37:49Z`, for programs.
    static func timestamp(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1_000
        return parts(seconds, isLocal: false).map { date, clock in
            "\(date)T\(clock):\(digits(Int32(seconds % 60)))Z"
        } ?? ""
    }

    /// `2026-11-28 23:37`, for people, in the time zone of this computer.
    static func local(_ milliseconds: UInt64) -> String {
        parts(milliseconds / 1_000, isLocal: true).map { date, clock in "\(date) \(clock)" } ?? ""
    }

    /// `2026-11-28`, in the time zone of this computer.
    static func day(_ milliseconds: UInt64) -> String {
        parts(milliseconds / 1_000, isLocal: true).map { date, _ in date } ?? ""
    }

    private static func parts(_ seconds: UInt64, isLocal: Bool) -> (date: String, clock: String)? {
        var moment = time_t(clamping: seconds)
        var parts = unsafe tm()
        let isKnown = unsafe (isLocal ? localtime_r(&moment, &parts) : gmtime_r(&moment, &parts)) != nil
        guard isKnown else { return nil }
        let (year, month, day) = unsafe (parts.tm_year &+ 1900, parts.tm_mon + 1, parts.tm_mday)
        let (hour, minute) = unsafe (parts.tm_hour, parts.tm_min)
        return ("\(digits(year, 4))-\(digits(month))-\(digits(day))", "\(digits(hour)):\(digits(minute))")
    }

    private static func digits(_ value: Int32, _ width: Int = 2) -> String {
        let text = "\(value)"
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
