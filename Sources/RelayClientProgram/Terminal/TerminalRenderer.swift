// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Lines at the bottom that are drawn again and again, one for each transfer, and above them those that stay; on
/// standard error.
struct TerminalRenderer: ReportRenderer {
    private let isVerbose: Bool
    private let isColoured: Bool
    private var transfers = ActiveTransfers()
    private var lastDrawn: NIODeadline?
    /// The widths of the lines that are drawn now. The cursor is at the end of the last one.
    private var drawn: [Int] = []
    private var rows = Defaults.terminalRows
    private var isHeld = false
    /// What should have been shown while a question had the terminal.
    private var heldBack = ""

    /// With `isVerbose`, details are shown too; with `isColoured`, good and bad news have colours.
    init(isVerbose: Bool, isColoured: Bool) {
        self.isVerbose = isVerbose
        self.isColoured = isColoured
    }

    mutating func render(_ report: TransferReport, now: NIODeadline, columns: Int) -> RenderedText {
        let wasAway = transfers.outage != nil
        let label = transfers.apply(report, now: now)
        switch report {
        case .progress:
            if let lastDrawn, now < lastDrawn + Defaults.redrawInterval { return RenderedText() }
            return RenderedText(standardError: drawing(now: now, columns: columns))
        // Why is said once; that it goes on, and since when, is in the line that is drawn.
        case .reconnecting where wasAway: return RenderedText(standardError: drawing(now: now, columns: columns))
        case .waiting, .ringing, .offered, .started, .verifying:
            return RenderedText(standardError: drawing(now: now, columns: columns))
        case .introduced: return RenderedText()
        case .detail where !isVerbose:
            return RenderedText()
        case .ready, .sharing, .requested, .refused, .asking, .firstContact, .resumed, .renamed, .checksum, .delivered,
            .received, .unchanged, .failed, .interrupted, .restarted, .kept, .withdrawn, .reconnecting, .reconnected,
            .unasked, .notice, .warning, .detail:
            let message = ReportText.message(for: report, label: label) ?? ""
            return RenderedText(
                standardError: stay(painted(message, ReportText.tone(of: report)), now: now, columns: columns)
            )
        }
    }

    mutating func fit(rows: Int) { self.rows = rows }

    mutating func tick(now: NIODeadline, columns: Int) -> RenderedText {
        guard !drawn.isEmpty, let lastDrawn, now >= lastDrawn + Defaults.redrawInterval else { return RenderedText() }
        return RenderedText(standardError: drawing(now: now, columns: columns))
    }

    mutating func hold(columns: Int) -> RenderedText {
        isHeld = true
        return RenderedText(standardError: erased(columns: columns))
    }

    mutating func release(now: NIODeadline, columns: Int) -> RenderedText {
        isHeld = false
        let text = heldBack
        heldBack = ""
        return RenderedText(standardError: text + drawing(now: now, columns: columns))
    }

    mutating func finish(columns: Int) -> RenderedText {
        // A question that will not be answered any more stands at the end of its line.
        let text = erased(columns: columns) + (isHeld ? "\n" : "") + heldBack
        heldBack = ""
        return RenderedText(standardError: text)
    }

    private mutating func stay(_ line: String, now: NIODeadline, columns: Int) -> String {
        guard !isHeld else {
            // A peer that offers again and again while a question stands cannot make this grow.
            if heldBack.utf8.count < Defaults.maximumHeldBack { heldBack += line + "\n" }
            return ""
        }
        return erased(columns: columns) + line + "\n" + drawing(now: now, columns: columns)
    }

    /// The lines as they are now, in the place of those that are drawn; or the removal of these when there is nothing
    /// left to show.
    private mutating func drawing(now: NIODeadline, columns: Int) -> String {
        guard !isHeld else { return "" }
        // The cursor needs a row of its own where a line has ended.
        let lines = transfers.lines(now: now, most: max(1, min(Defaults.mostProgressLines, rows - 1)))
        guard !lines.isEmpty else { return erased(columns: columns) }
        lastDrawn = now
        // A terminal wraps when its last column is written to.
        let texts = lines.map { line in line.text(width: max(1, columns - 1)) }
        let hasMore = drawn.count > lines.count || height(columns: columns) > drawn.count
        let start = hasMore ? erased(columns: columns) : backToFirst(columns: columns)
        drawn = texts.map { text in TextWidth.columns(of: text) }
        return start + texts.map { text in "\r" + text + "\u{1b}[K" }.joined(separator: "\n")
    }

    private mutating func erased(columns: Int) -> String {
        guard !drawn.isEmpty else { return "" }
        let isOneRow = height(columns: columns) == 1
        defer { drawn = [] }
        return backToFirst(columns: columns) + "\r\u{1b}[" + (isOneRow ? "K" : "J")
    }

    /// Moves the cursor up to the first of the lines that are drawn.
    private func backToFirst(columns: Int) -> String {
        let above = height(columns: columns) - 1
        return above > 0 ? "\u{1b}[\(above)A" : ""
    }

    /// How many rows they take. A terminal that was made narrower since has broken them.
    private func height(columns: Int) -> Int {
        drawn.reduce(0) { sum, width in sum + max(1, (width + max(1, columns) - 1) / max(1, columns)) }
    }

    private func painted(_ text: String, _ tone: ReportText.Tone) -> String {
        guard isColoured else { return text }
        switch tone {
        case .plain: return text
        case .good: return "\u{1b}[32m\(text)\u{1b}[0m"
        case .bad: return "\u{1b}[31m\(text)\u{1b}[0m"
        }
    }
}
