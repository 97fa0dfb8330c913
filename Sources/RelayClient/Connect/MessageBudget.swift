// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How many control messages may be sent now without breaking the relay's limit (docs/wire-protocol.md, section 1.2).
///
/// The generic cell rate algorithm: one moment says all there is to say.
struct MessageBudget: Hashable, Sendable {
    /// When the budget is whole again.
    private var fullAt = NIODeadline.uptimeNanoseconds(0)

    /// Takes one message out of the budget.
    ///
    /// - Returns: nil when it may go; otherwise when the next one may, with nothing taken.
    mutating func take(now: NIODeadline) -> NIODeadline? {
        let credit = Defaults.messageInterval.nanoseconds * (Defaults.messageBurst - 1)
        let (earliest, underflow) = fullAt.uptimeNanoseconds.subtractingReportingOverflow(UInt64(credit))
        if !underflow, earliest > now.uptimeNanoseconds { return .uptimeNanoseconds(earliest) }
        fullAt = max(fullAt, now) + Defaults.messageInterval
        return nil
    }
}
