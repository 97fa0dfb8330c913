// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How many messages a client may send: a token bucket, kept as the one point in time at which it would be full again
/// (the generic cell rate algorithm), so nothing has to be refilled.
package struct MessageBudget: Hashable, Sendable {
    /// The rates of a budget.
    package struct Limits: Hashable, Sendable {
        /// Messages a minute that may be sustained; 1 or more.
        package var perMinute: Int64
        /// Messages that may come at once; 1 or more.
        package var burst: Int64
        /// Refused messages in a row after which the client is not worth answering.
        package var patience: Int

        package init(perMinute: Int64, burst: Int64, patience: Int) {
            self.perMinute = max(1, perMinute)
            self.burst = max(1, burst)
            self.patience = max(1, patience)
        }

        /// What section 1.2 of the protocol promises.
        package static let standard = Limits(
            perMinute: ProtocolDefaults.messagesPerMinute, burst: ProtocolDefaults.messageBurst,
            patience: ProtocolDefaults.refusedMessages
        )
    }

    /// What to do with one message.
    package enum Verdict: Hashable, Sendable {
        case admitted
        case refused
        /// Refused, and it was the last straw.
        case exhausted
    }

    private let limits: Limits
    private var isFullAt: NIODeadline
    private var refusedInARow = 0

    package init(limits: Limits, now: NIODeadline) {
        self.limits = limits
        self.isFullAt = now
    }

    /// One more message came at `now`.
    package mutating func messageReceived(now: NIODeadline) -> Verdict {
        let interval = TimeAmount.nanoseconds(60_000_000_000 / limits.perMinute)
        let start = max(isFullAt, now)
        guard start - now <= interval * (limits.burst - 1) else {
            refusedInARow += 1
            return refusedInARow >= limits.patience ? .exhausted : .refused
        }
        isFullAt = start + interval
        refusedInARow = 0
        return .admitted
    }
}
