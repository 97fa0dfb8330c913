// SPDX-License-Identifier: Apache-2.0

import RedisTransport

/// What the sharing of ticket keys does in Redis.
enum TicketScripts {
    /// KEYS tickets. Returns {sealed keys or nothing, Redis' clock in seconds}.
    static let read = RedisScript(
        ClusterScripts.get + "return {string.sub(get(KEYS[1]) or '', 1, 2048), tonumber(redis.call('TIME')[1])}"
    )

    /// Puts new keys in the place of those that were read. Atomic, so that of nodes that rotate at once one wins and the
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
