// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why there is no connection to the relay: which step failed, in words, and what to do about it.
struct ConnectionError: Error, Hashable, Sendable, CustomStringConvertible {
    let step: ConnectionStep
    /// What happened, and to what.
    let summary: String
    /// What to do next.
    let advice: String
    let status: ExitStatus
    /// Whether the same attempt may succeed a little later.
    let isTemporary: Bool
    /// The relay's own code, when it gave one.
    let code: FailureCode?

    init(
        _ step: ConnectionStep, _ summary: String, advice: String, status: ExitStatus, isTemporary: Bool = false,
        code: FailureCode? = nil
    ) {
        self.step = step
        self.summary = summary
        self.advice = advice
        self.status = status
        self.isTemporary = isTemporary
        self.code = code
    }

    /// The one line that is printed.
    var description: String { "\(summary); \(advice)" }
}
