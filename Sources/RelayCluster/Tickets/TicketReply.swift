// SPDX-License-Identifier: Apache-2.0

import RedisTransport

/// What ``TicketScripts/read`` replies, checked.
struct TicketReply: Hashable, Sendable {
    /// The sealed keys; empty when there are none.
    var text: String
    /// Seconds of Redis' clock.
    var now: Int64

    /// Some 35,000 years: what a clock says above that, or below 1970, is nonsense, and sums with it could overflow.
    private static let times: ClosedRange<Int64> = 0...(1 << 40)

    /// Nil when it is not of the form, or the time makes no sense.
    init?(_ reply: RESPValue) {
        guard let parts = reply.elements, parts.count == 2, let text = parts[0].text, let now = parts[1].number,
            Self.times.contains(now)
        else { return nil }
        (self.text, self.now) = (text, now)
    }
}
