// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Makes rates out of two looks at a server.
struct TopRates: Sendable {
    private var before: ServerTop?

    /// `top` with the rates since the last call.
    mutating func rated(_ top: ServerTop) -> ServerTop {
        defer { before = top }
        // A server that was started again counts from the beginning.
        guard let before, top.uptime > before.uptime else { return top }
        let time = UInt64(top.uptime - before.uptime)
        func rate(_ now: UInt64, _ then: UInt64) -> UInt64 {
            now < then ? 0 : ((now - then) / time) &* 1000 &+ ((now - then) % time) &* 1000 / time
        }
        var rated = top
        let (now, then) = (top.figures, before.figures)
        rated.rate = rate(
            now.bytesToReceivers &+ now.bytesToNodes, then.bytesToReceivers &+ then.bytesToNodes)
        let known = Dictionary(before.transfers.map { ($0.transfer, $0.bytes ?? 0) }, uniquingKeysWith: max)
        for index in rated.transfers.indices {
            let transfer = rated.transfers[index]
            // What was not in the last look may have gone on for long all the same.
            guard let bytes = transfer.bytes, let then = known[transfer.transfer] else { continue }
            rated.transfers[index].rate = rate(bytes, then)
        }
        return rated
    }
}

/// A look at a server as a table for people.
struct TopTable: Sendable {
    /// Lines there is room for.
    let rows: Int
    /// Characters of a line.
    let columns: Int

    /// The lines of `top`, at most ``rows`` of them.
    func lines(_ top: ServerTop) -> [String] {
        let figures = top.figures
        var lines = [
            "relay-server \(top.node)  \(top.state.rawValue)  up \(Self.time(top.uptime / 1000))  "
                + "\(top.rate.map { Self.size($0) + "/s" } ?? "-")",
            "sessions   \(figures.sessions), \(figures.receiving) receive, \(figures.sharing) share; "
                + "\(figures.connections) connections",
            "transfers  \(figures.streaming + figures.streamed) run, \(figures.accepted + figures.parked) begin, "
                + "\(figures.ringing) ring, \(figures.waiting) wait; "
                + "\(figures.delivered) delivered, \(figures.failed) failed",
            "memory     \(figures.memory.map(Self.size) ?? "-")"
                + "\(figures.memoryLimit.map { " of " + Self.size($0) } ?? "")"
                + "; descriptors \(figures.descriptors.map { String($0) } ?? "-")"
                + "\(figures.descriptorLimit.map { " of \($0)" } ?? "")",
        ]
        let room = max(0, rows - lines.count - 4)
        let sessions = min(top.sessions.count, max(room / 3, room - top.transfers.count))
        let transfers = min(top.transfers.count, room - sessions)
        lines += ["", Self.transferHead]
        lines += top.transfers.prefix(transfers).map(Self.line)
        lines += ["", Self.sessionHead]
        lines += top.sessions.prefix(sessions).map(Self.line)
        return lines.prefix(rows).map { String($0.prefix(columns)) }
    }

    private static let transferHead = row("TRANSFER", "FROM", "TO", "STATE", "BYTES", "RATE", "AGE", "NODE")
    private static let sessionHead =
        pad("SESSION", 24) + pad("NAME", 18) + pad("READY FOR", 18) + pad("TRANSFERS", 11) + "AGE"

    private static func line(_ transfer: ServerTop.Transfer) -> String {
        row(
            transfer.transfer.rawValue, transfer.from?.rawValue ?? "-", transfer.to?.rawValue ?? "-", transfer.state,
            transfer.bytes.map(size) ?? "-", transfer.rate.map { size($0) + "/s" } ?? "-",
            transfer.age.map(time) ?? "-", transfer.node ?? "-")
    }

    private static func line(_ session: ServerTop.Session) -> String {
        let ready = [session.receiving ? "files" : nil, session.sharing ? "requests" : nil].compactMap(\.self)
        return pad(session.session, 24) + pad(session.name.rawValue, 18)
            + pad(ready.isEmpty ? "-" : ready.joined(separator: ", "), 18) + pad(String(session.transfers), 11)
            + time(session.age)
    }

    private static func row(
        _ transfer: String, _ from: String, _ to: String, _ state: String, _ bytes: String, _ rate: String,
        _ age: String, _ node: String
    ) -> String {
        pad(transfer, 24) + pad(from, 12) + pad(to, 12) + pad(state, 11) + pad(bytes, 10) + pad(rate, 12) + pad(age, 8)
            + node
    }

    /// `text` on `width` columns, one of them empty behind it. What there is of it is of ASCII.
    private static func pad(_ text: String, _ width: Int) -> String {
        let shown = text.utf8.count < width ? text : String(text.prefix(width - 2)) + "~"
        return shown + String(repeating: " ", count: max(0, width - shown.utf8.count))
    }

    /// A number of bytes in at most eight characters.
    static func size(_ bytes: UInt64) -> String {
        var (value, unit) = (bytes, 0)
        var tenths = UInt64(0)
        while value >= 1000, unit < 6 {
            (value, tenths) = (value / 1000, value % 1000 / 100)
            unit += 1
        }
        let name = ["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit]
        return unit == 0 || value >= 100 ? "\(value) \(name)" : "\(value).\(tenths) \(name)"
    }

    /// A time in its two largest units.
    static func time(_ seconds: Int64) -> String {
        switch seconds {
        case ..<60: "\(max(seconds, 0))s"
        case ..<3600: "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: "\(seconds / 3600)h\(seconds % 3600 / 60)m"
        default: "\(seconds / 86_400)d\(seconds % 86_400 / 3600)h"
        }
    }
}
