// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Errors only, on standard error.
struct QuietRenderer: ReportRenderer {
    private var transfers = ActiveTransfers()

    mutating func render(_ report: TransferReport, now: NIODeadline, columns _: Int) -> RenderedText {
        let label = transfers.apply(report, now: now)
        guard case .failed = report, let sentence = ReportText.sentence(for: report, label: label) else {
            return RenderedText()
        }
        return RenderedText(standardError: sentence + "\n")
    }
}
