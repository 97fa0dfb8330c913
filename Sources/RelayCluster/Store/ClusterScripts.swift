// SPDX-License-Identifier: Apache-2.0

import RedisTransport

/// What routing does in Redis. Lives are arguments, in milliseconds.
enum ClusterScripts {
    /// Reads a text. What is of another type, which none of the nodes has written, counts as absent; what cannot be
    /// read at the moment, such as a key of a slot that a Redis Cluster is moving, does not.
    static let get = """
        local function get(key)
            local value = redis.pcall('GET', key)
            if type(value) == 'table' and value.err and not string.find(value.err, 'WRONGTYPE', 1, true) then
                -- Fails with the same words, and the script with it.
                value = redis.call('GET', key)
            end
            return type(value) == 'string' and value or nil
        end

        """

    /// What is not there may be what Redis did not take from a node: without memory, as a replica, without a disk. So a
    /// script that finds nothing asks whether writes are taken at this moment, with one that changes nothing, and
    /// replies what Redis says against it.
    static let refusal = """
        local function refusal(key)
            local reply = redis.pcall('SETRANGE', key, 0, '')
            -- A key of another type is not written to, and is none of the reasons.
            if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
                return reply
            end
        end

        """

    /// Takes or renews a node's presence. Atomic, so that of two processes with one id exactly one gets it, and so that
    /// exactly one node makes the new epoch of an emptied Redis.
    ///
    /// KEYS presence, nodes, epoch. ARGV incarnation, presence, its life, the life of the other two, a fresh epoch, the
    /// node's id, the exact presence that may be replaced (or nothing), prefix of channels.
    /// Returns {1, epoch, if it is new 1 and 1 for each other node that listens} or {0, the presence that stands there,
    /// its remaining life}.
    static let presence = RedisScript(
        get + """
            local current = get(KEYS[1])
            -- No node writes a presence without a life: such a one belongs to no node.
            if current and current ~= ARGV[7] and redis.call('PTTL', KEYS[1]) > 0 then
                local readable, value = pcall(cjson.decode, current)
                if not (readable and type(value) == 'table' and value.incarnation == ARGV[1]) then
                    return {0, string.sub(current, 1, 2048), redis.call('PTTL', KEYS[1])}
                end
            end
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
            if redis.call('TYPE', KEYS[2]).ok ~= 'set' then redis.call('DEL', KEYS[2]) end
            redis.call('SADD', KEYS[2], ARGV[6])
            redis.call('PEXPIRE', KEYS[2], ARGV[4])
            local epoch, isNew = get(KEYS[3]), 0
            -- An epoch is 16 bytes in base64url: 22 characters, the last of which has four unused bits, which are 0.
            if not epoch or #epoch ~= #ARGV[5] or not string.find(epoch, '^[%w_-]+[AQgw]$') then
                epoch, isNew = ARGV[5], 1
                -- Subscriptions outlive the keys: each other node that listens has still to write its keys again.
                -- Those of a Redis Cluster are in a list of their own, which Redis 6.2 does not have.
                for _, kind in ipairs({'CHANNELS', 'SHARDCHANNELS'}) do
                    for _, channel in ipairs(redis.pcall('PUBSUB', kind, ARGV[8] .. '*')) do
                        if channel ~= ARGV[8] .. ARGV[6] then isNew = isNew + 1 end
                    end
                end
            end
            redis.call('SET', KEYS[3], epoch, 'PX', ARGV[4])
            return {1, epoch, isNew}
            """
    )

    /// Writes and withdraws routes. Atomic only to be one round trip: each key is this node's own.
    ///
    /// KEYS the routes. ARGV for each its value and its life; a life of 0 withdraws it if it still names the
    /// incarnation that stands in the place of the value. Returns the number of keys.
    static let routes = RedisScript(
        get + """
            for i, key in ipairs(KEYS) do
                local value, life = ARGV[2 * i - 1], ARGV[2 * i]
                if life ~= '0' then
                    redis.call('SET', key, value, 'PX', life)
                else
                    local current = get(key)
                    if current and string.find(current, value, 1, true) then redis.call('DEL', key) end
                end
            end
            return #KEYS
            """
    )

    /// Takes a node's presence away, if it is still that incarnation's. Atomic, so that a successor keeps its own.
    ///
    /// KEYS presence, nodes. ARGV incarnation, the node's id. Returns 1 when it was there.
    static let leave = RedisScript(
        get + """
            local current = get(KEYS[1])
            local readable, value = pcall(cjson.decode, current or '')
            if not (readable and type(value) == 'table' and value.incarnation == ARGV[1]) then return 0 end
            redis.call('DEL', KEYS[1])
            redis.pcall('SREM', KEYS[2], ARGV[2])
            return 1
            """
    )

    /// Reads a presence. One without a life, which none of the nodes has written, counts as absent.
    private static let alive =
        get + refusal + """
            local function alive(key)
                local presence = get(key)
                return presence and redis.call('PTTL', key) > 0 and presence or nil
            end

            """

    /// What begins every lookup of all nodes: at most 1,024 of them in at most 1 MiB, since any client of Redis could
    /// have put ids into the set. Ids of dead nodes are taken out.
    private static let allNodes =
        alive + """
            local ids, nodes, living, found, size = redis.pcall('SRANDMEMBER', KEYS[1], 1024), {}, {}, {}, 0
            for _, id in ipairs(ids) do
                local presence = alive(ARGV[1] .. id)
                if not presence then
                    local refused = refusal(KEYS[2])
                    if refused then return refused end
                    redis.call('SREM', KEYS[1], id)
                elseif #id <= 32 and #presence <= 2048 and size + #presence < 1048576 then
                    size = size + #id + #presence
                    living[#living + 1] = id
                    nodes[#nodes + 1] = id
                    nodes[#nodes + 1] = presence
                end
            end
            local epoch = get(KEYS[2]) or ''

            """

    /// The nodes that are alive. Atomic, so that an emptied Redis is never mistaken for a cluster whose nodes have all
    /// died.
    ///
    /// KEYS nodes, epoch. ARGV prefix of presences. Returns {epoch, {id, presence, …}}.
    static let nodes = RedisScript(allNodes + "return {epoch, nodes}")

    /// The routes of names on all live nodes. Atomic, so that a route and the incarnation that it counts under are of
    /// one moment. At most 4,096 routes of at most 2,048 bytes are told, and 3 MiB with everything else: more than 4
    /// MiB would end the connection.
    ///
    /// KEYS nodes, epoch. ARGV prefix of presences, prefix of the routes, names.
    /// Returns {epoch, {id, presence, …}, {name, id, route, …}}.
    static let lookup = RedisScript(
        routesOfNames + """
            if #found == 0 then
                local refused = refusal(KEYS[2])
                if refused then return refused end
            end
            return {epoch, nodes, found}
            """
    )

    private static let routesOfNames =
        allNodes + """
            for i = 3, #ARGV do
                for _, id in ipairs(living) do
                    local route = get(ARGV[2] .. ARGV[i] .. ':' .. id)
                    local length = route and #ARGV[i] + #id + #route or 0
                    if route and #route <= 2048 and #found < 12288 and size + length < 3145728 then
                        size = size + length
                        found[#found + 1] = ARGV[i]
                        found[#found + 1] = id
                        found[#found + 1] = route
                    end
                end
            end

            """

    /// The routes of names whose sessions share, with the arguments and the answer of ``lookup``. The asking client
    /// must not be able to tell whether there are any: a Redis that takes no writes fails this either way, and the same
    /// is done in both cases.
    static let sharers = RedisScript(
        routesOfNames + """
            local refused = refusal(KEYS[2])
            if refused then return refused end
            return {epoch, nodes, found}
            """
    )

    /// The node to ask about a token. Atomic, so that the token's entry and the presence it counts under are of one
    /// moment.
    ///
    /// KEYS token, epoch. ARGV prefix of presences. Returns {epoch, entry, presence}; what is not there is empty.
    static let home = RedisScript(
        alive + """
            local epoch, entry = get(KEYS[2]) or '', get(KEYS[1]) or ''
            if #entry > 128 then entry = '' end
            local node = string.match(entry, '^([%w._-]+) ')
            local presence = node and alive(ARGV[1] .. node) or ''
            if #presence > 2048 then presence = '' end
            if presence == '' then
                local refused = refusal(KEYS[2])
                if refused then return refused end
            end
            return {epoch, entry, presence}
            """
    )

    /// A node's presence, and the epoch.
    ///
    /// KEYS presence, epoch. Returns {epoch, presence}; what is not there is empty.
    static let address = RedisScript(
        alive + """
            local presence = alive(KEYS[1]) or ''
            if #presence > 2048 then presence = '' end
            if presence == '' then
                local refused = refusal(KEYS[2])
                if refused then return refused end
            end
            return {get(KEYS[2]) or '', presence}
            """
    )
}
