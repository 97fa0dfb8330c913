// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One line at the bottom that is drawn again and again, and above it the lines that stay; on standard error.
struct TerminalRenderer: ReportRenderer {
    private let isVerbose: Bool
    private let isColoured: Bool
    private var transfers = ActiveTransfers()
    private var lastDrawn: NIODeadline?
    private var isLineShown = false
    private var isHeld = false
    /// What should have been shown while a question had the terminal.
    private var heldBack = ""

    private static let erasure = "\r\u{1b}[K"

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
        case .ready, .firstContact, .resumed, .delivered, .received, .failed, .interrupted, .kept, .withdrawn,
            .reconnecting, .reconnected, .notice, .warning, .detail:
            let message = ReportText.message(for: report, label: label) ?? ""
            return RenderedText(
                standardError: stay(painted(message, ReportText.tone(of: report)), now: now, columns: columns)
            )
        }
    }

    mutating func tick(now: NIODeadline, columns: Int) -> RenderedText {
        guard isLineShown, let lastDrawn, now >= lastDrawn + Defaults.redrawInterval else { return RenderedText() }
        return RenderedText(standardError: drawing(now: now, columns: columns))
    }

    mutating func hold() -> RenderedText {
        isHeld = true
        return RenderedText(standardError: erased())
    }

    mutating func release(now: NIODeadline, columns: Int) -> RenderedText {
        isHeld = false
        let text = heldBack
        heldBack = ""
        return RenderedText(standardError: text + drawing(now: now, columns: columns))
    }

    mutating func finish() -> RenderedText {
        // A question that will not be answered any more stands at the end of its line.
        let text = erased() + (isHeld ? "\n" : "") + heldBack
        heldBack = ""
        return RenderedText(standardError: text)
    }

    private mutating func stay(_ line: String, now: NIODeadline, columns: Int) -> String {
        guard !isHeld else {
            // A peer that offers again and again while a question stands cannot make this grow.
            if heldBack.utf8.count < Defaults.maximumHeldBack { heldBack += line + "\n" }
            return ""
        }
        return erased() + line + "\n" + drawing(now: now, columns: columns)
    }

    /// The line as it is now, or its removal when there is nothing left to show.
    private mutating func drawing(now: NIODeadline, columns: Int) -> String {
        guard !isHeld else { return "" }
        guard let line = transfers.line(now: now) else { return erased() }
        lastDrawn = now
        isLineShown = true
        // A terminal wraps when its last column is written to.
        return "\r" + line.text(width: max(1, columns - 1)) + "\u{1b}[K"
    }

    private mutating func erased() -> String {
        guard isLineShown else { return "" }
        isLineShown = false
        return Self.erasure
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
