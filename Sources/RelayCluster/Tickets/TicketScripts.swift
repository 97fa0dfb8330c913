// SPDX-License-Identifier: Apache-2.0

import RedisTransport

/// What the sharing of ticket keys does in Redis.
enum TicketScripts {
    /// KEYS tickets. Returns {sealed keys or nothing, Redis' clock in seconds}.
    static let read = RedisScript(
        ClusterScripts.get + "return {string.sub(get(KEYS[1]) or '', 1, 2048), tonumber(redis.call('TIME')[1])}"
    )

    /// Replaces the keys that were read with new ones. Atomic, so that of nodes that rotate at once one wins and the
    /// others take its keys over.
    ///
    /// KEYS tickets. ARGV what was read, what to put there, its life. Returns 1 when it was put there.
    static let replace = RedisScript(
        ClusterScripts.get + """
            if string.sub(get(KEYS[1]) or '', 1, 2048) ~= ARGV[1] then return 0 end
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
            return 1
            """
    )
}

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
