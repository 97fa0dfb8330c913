// SPDX-License-Identifier: Apache-2.0

import NIOCore

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
    /// Somebody else needs the terminal: nothing is drawn until ``release(now:columns:)``.
    mutating func hold() -> RenderedText
    /// The terminal is free again.
    mutating func release(now: NIODeadline, columns: Int) -> RenderedText
    /// Nothing comes any more.
    mutating func finish() -> RenderedText
}

extension ReportRenderer {
    mutating func tick(now _: NIODeadline, columns _: Int) -> RenderedText { RenderedText() }
    mutating func hold() -> RenderedText { RenderedText() }
    mutating func release(now _: NIODeadline, columns _: Int) -> RenderedText { RenderedText() }
    mutating func finish() -> RenderedText { RenderedText() }
}
