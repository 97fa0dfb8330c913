// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Text for the two standard streams.
struct RenderedText: Hashable, Sendable {
    var standardOutput = ""
    var standardError = ""
}

/// Turns reports into text. A value that knows neither a clock nor a terminal; each way of showing is one of these.
protocol ReportRenderer: Sendable {
    /// The text for `report`, where `columns` is the terminal's width at this moment.
    mutating func render(_ report: TransferReport, now: NIODeadline, columns: Int) -> RenderedText
    /// Time has passed without a report.
    mutating func tick(now: NIODeadline, columns: Int) -> RenderedText
    /// The terminal has this many rows now. Comes before each of the others.
    mutating func fit(rows: Int)
    /// A question needs the terminal: nothing is drawn until ``release(now:columns:)``.
    mutating func hold(columns: Int) -> RenderedText
    /// The terminal is free again.
    mutating func release(now: NIODeadline, columns: Int) -> RenderedText
    /// Nothing comes any more.
    mutating func finish(columns: Int) -> RenderedText
}

extension ReportRenderer {
    mutating func tick(now _: NIODeadline, columns _: Int) -> RenderedText { RenderedText() }
    mutating func fit(rows _: Int) {}
    mutating func hold(columns _: Int) -> RenderedText { RenderedText() }
    mutating func release(now _: NIODeadline, columns _: Int) -> RenderedText { RenderedText() }
    mutating func finish(columns _: Int) -> RenderedText { RenderedText() }
}

/// Lines that stay, on standard error: one for each change, and now and then one for the progress.
struct PlainRenderer: ReportRenderer {
    private let isVerbose: Bool
    private var transfers = ActiveTransfers()
    private var shown: [TransferID: NIODeadline] = [:]

    /// With `isVerbose`, details are shown too.
    init(isVerbose: Bool) { self.isVerbose = isVerbose }

    mutating func render(_ report: TransferReport, now: NIODeadline, columns _: Int) -> RenderedText {
        let wasAway = transfers.outage != nil
        let label = transfers.apply(report, now: now)
        switch report {
        case .progress(let transfer, _): return RenderedText(standardError: progress(transfer, now: now))
        case .started(let label): shown[label.transfer] = now
        case .delivered(let transfer, _, _), .received(let transfer, _, _, _, _), .unchanged(let transfer, _),
            .failed(.some(let transfer), _, _), .restarted(let transfer, _, _):
            shown[transfer] = nil
        case .detail where !isVerbose: return RenderedText()
        // One line when it begins, and one when it is over.
        case .reconnecting where wasAway: return RenderedText()
        case .ready, .sharing, .requested, .refused, .asking, .introduced, .waiting, .ringing, .offered, .firstContact,
            .resumed, .verifying, .renamed, .checksum, .failed(nil, _, _), .interrupted, .kept, .withdrawn,
            .reconnecting, .reconnected, .unasked, .notice, .warning, .detail:
            break
        }
        let message = ReportText.message(for: report, label: label)
        return RenderedText(standardError: message.map { message in message + "\n" } ?? "")
    }

    private mutating func progress(_ transfer: TransferID, now: NIODeadline) -> String {
        guard let entry = transfers.entries.first(where: { $0.label.transfer == transfer }),
            let last = shown[transfer], now >= last + Defaults.plainProgressInterval
        else { return "" }
        shown[transfer] = now
        return ActiveTransfers.line(for: entry, now: now).text(width: Self.columns) + "\n"
    }

    /// Wide enough for every field; no bar, which needs more.
    private static let columns = 120
}

/// Errors only, on standard error.
struct QuietRenderer: ReportRenderer {
    private var transfers = ActiveTransfers()

    mutating func render(_ report: TransferReport, now: NIODeadline, columns _: Int) -> RenderedText {
        let label = transfers.apply(report, now: now)
        guard case .failed = report, let message = ReportText.message(for: report, label: label) else {
            return RenderedText()
        }
        return RenderedText(standardError: message + "\n")
    }
}

/// Nothing at all.
struct SilentRenderer: ReportRenderer {
    mutating func render(_: TransferReport, now _: NIODeadline, columns _: Int) -> RenderedText { RenderedText() }
}
