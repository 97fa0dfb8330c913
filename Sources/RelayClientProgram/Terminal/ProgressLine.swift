// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One line about work in progress, made to fit a width: values in, text out.
struct ProgressLine: Hashable, Sendable {
    /// What it is about, already fit for a terminal.
    var title: String
    /// What is happening while no bytes flow (`ringing bob`); nil while they do.
    var state: String?
    /// What is happening while they do (`sending`).
    var activity: String?
    /// Bytes that are through.
    var bytes: UInt64 = 0
    /// Bytes there will be; nil where that is not known.
    var total: UInt64?
    /// Bytes a second; nil where that is not known yet.
    var rate: UInt64?

    /// The line, of at most `width` columns. What matters least goes first where not everything fits: the activity, the
    /// bar, the time left, the rate, the bytes, and then the end of the title.
    func text(width: Int) -> String {
        if let state { return TextWidth.prefix(of: title.isEmpty ? state : "\(state)  \(title)", columns: width) }
        let percent = percentText
        let fields = [percent, bytesText, rateText, timeText].compactMap { $0 }
        if let activity, let line = whole(activity, fields, hasBar: percent != nil, width: width) { return line }
        for count in stride(from: fields.count, through: 1, by: -1) {
            let details = fields.prefix(count).joined(separator: "  ")
            let room = width - details.utf8.count - 2
            let titleColumns = min(TextWidth.columns(of: title), Self.widestTitle)
            guard room >= min(titleColumns, Self.narrowestTitle) || count == 1 else { continue }
            return line(details, room: room, hasBar: count == fields.count && percent != nil, width: width)
        }
        return TextWidth.prefix(of: title, columns: width)
    }

    private static let narrowestTitle = 12
    private static let widestTitle = 40
    private static let narrowestBar = 10
    private static let widestBar = 30

    /// The line with everything in it; nil where that does not fit.
    private func whole(_ activity: String, _ fields: [String], hasBar: Bool, width: Int) -> String? {
        let details = fields.joined(separator: "  ")
        let titleColumns = min(TextWidth.columns(of: title), Self.widestTitle)
        let others = (hasBar ? Self.narrowestBar + 2 : 0) + 2 + details.utf8.count
        let left = width - TextWidth.columns(of: activity) - 2
        guard left >= titleColumns + others else { return nil }
        return activity + "  " + line(details, room: left - details.utf8.count - 2, hasBar: hasBar, width: left)
    }

    private func line(_ details: String, room: Int, hasBar: Bool, width: Int) -> String {
        guard room > 3 else { return TextWidth.prefix(of: details, columns: width) }
        let wanted = TextWidth.columns(of: title)
        // The bar and the two spaces behind it.
        let barRoom = room - min(wanted, Self.widestTitle) - 2
        guard hasBar, barRoom >= Self.narrowestBar else {
            return Self.shortened(title, columns: room) + "  " + details
        }
        let columns = min(barRoom, Self.widestBar)
        return Self.shortened(title, columns: room - columns - 2) + "  " + bar(columns) + "  " + details
    }

    private func bar(_ columns: Int) -> String {
        let inside = columns - 2
        let filled = Int((fraction ?? 0) * Double(inside))
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: inside - filled) + "]"
    }

    /// 0 to 1; nil where the total is not known.
    private var fraction: Double? {
        total.map { total in total == 0 ? 1 : min(1, Double(bytes) / Double(total)) }
    }

    private var percentText: String? {
        // Rounded down: 100 % is said only when it is all.
        fraction.map { fraction in "\(Int(fraction * 100))%" }
    }

    private var bytesText: String {
        let done = ByteFormat.string(bytes)
        return total.map { total in "\(done) of \(ByteFormat.string(total))" } ?? done
    }

    private var rateText: String? {
        rate.map { rate in ByteFormat.string(rate) + "/s" }
    }

    private var timeText: String? {
        guard let rate, rate > 0, let total, total > bytes else { return nil }
        return Self.duration((total - bytes) / rate).map { duration in duration + " left" }
    }

    /// `0:09`, `12:34`, `1:02:03`; nil for what is too long to believe.
    static func duration(_ seconds: UInt64) -> String? {
        guard seconds < 100 * 3600 else { return nil }
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60)
        return hours > 0 ? "\(hours):\(twoDigits(minutes)):\(twoDigits(rest))" : "\(minutes):\(twoDigits(rest))"
    }

    private static func twoDigits(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static func shortened(_ text: String, columns: Int) -> String {
        if TextWidth.columns(of: text) <= columns { return text }
        return TextWidth.prefix(of: text, columns: columns - 1) + "…"
    }
}

/// How fast bytes came lately: the mean over the last few seconds, which falls to zero when nothing comes any more.
struct RateEstimator: Hashable, Sendable {
    private struct Sample: Hashable {
        var time: NIODeadline
        var bytes: UInt64
    }

    private let window: TimeAmount
    private var samples: [Sample] = []
    private var latest: UInt64 = 0

    /// Looks back `window`.
    init(window: TimeAmount = Defaults.rateWindow) { self.window = window }

    /// In all, `bytes` have come by `now`. Fewer than before means that it began anew.
    mutating func record(bytes: UInt64, now: NIODeadline) {
        if bytes < latest { samples.removeAll() }
        latest = bytes
        if samples.last.map({ last in now >= last.time + Defaults.rateSampleInterval }) ?? true {
            samples.append(Sample(time: now, bytes: bytes))
        }
        // One sample from before the window stays, as what the window's bytes are counted from.
        while samples.count > 1, samples[1].time + window <= now { samples.removeFirst() }
    }

    /// Bytes a second; nil while there is too little to say.
    func bytesPerSecond(now: NIODeadline) -> UInt64? {
        guard let base = samples.last(where: { $0.time + window <= now }) ?? samples.first,
            now >= base.time + Defaults.rateSampleInterval
        else { return nil }
        let seconds = Double((now - base.time).nanoseconds) / 1e9
        return UInt64(exactly: (Double(latest - base.bytes) / seconds).rounded())
    }
}

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
