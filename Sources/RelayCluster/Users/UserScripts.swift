// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import TransferBroker

/// What the users' registry does in Redis: each is one step, so that no two nodes decide differently.
enum UserScripts {
    private static let get = ClusterScripts.get

    /// Milliseconds of Redis' own clock: nodes' calendars may differ.
    private static let clock = """
        local function clock()
            local time = redis.call('TIME')
            return time[1] * 1000 + math.floor(time[2] / 1000)
        end

        """

    /// What stands in a place, as far as it is read; empty when nothing does. A node writes ASCII, and never an empty
    /// text: of anything else, it is enough to know that it stands there.
    private static let standing =
        get + """
            local function standing(key)
                local text = get(key)
                if not text then return '' end
                local record = string.sub(text, 1, \(Defaults.Routing.userLength))
                return (record == '' or string.find(record, '[^\\32-\\126]')) and '?' or record
            end

            """

    /// What there is about names. Atomic, so that no user is found both gone and not removed.
    ///
    /// KEYS epoch, then for each name its user and its removal. Returns {epoch, {record, removal, …}}; what is not
    /// there is empty.
    static let read = RedisScript(
        standing + ClusterScripts.refusal + """
            local found = {}
            for i = 2, #KEYS, 2 do
                found[#found + 1] = standing(KEYS[i])
                found[#found + 1] = standing(KEYS[i + 1])
                if found[#found - 1] == '' and found[#found] == '' then
                    local refused = refusal(KEYS[1])
                    if refused then return refused end
                end
            end
            return {get(KEYS[1]) or '', found}
            """
    )

    /// Registers a name or confirms it. Atomic, so that a name goes to one key and an invitation to one name.
    ///
    /// Whose a record is, the node has found out that runs this: it says which record that was, and what is to stand
    /// there instead. It says nothing of that, and so no MAC, where the user is refused.
    ///
    /// KEYS user, users, invitations, epoch, removal, account, and of an invitation that was shown itself and its note.
    /// ARGV name, record, whose the name is (`own`, `other` or `free`), mode, how many users there may be, the epoch
    /// that has to be (or nothing), the invitation's digest, the record that was read (or nothing), the invitation that
    /// was read and is good (or nothing), and the account of a new user.
    /// Returns how it ended, in a word; `moved` when another record stands there by now.
    static let register = RedisScript(
        standing + ClusterScripts.refusal + """
            local function absent(word) return refusal(KEYS[4]) or word end
            if ARGV[6] ~= '' and get(KEYS[4]) ~= ARGV[6] then return 'settling' end
            local current = standing(KEYS[1])
            if current ~= ARGV[8] then return 'moved' end
            if ARGV[3] == 'own' then
                redis.call('SET', KEYS[1], ARGV[2])
                redis.call('ZADD', KEYS[2], 0, ARGV[1])
                return current == ARGV[2] and 'same' or 'changed'
            end
            if ARGV[4] == 'closed' then return 'closed' end
            if ARGV[4] == 'invite' then
                if ARGV[9] == '' or get(KEYS[7]) ~= ARGV[9] then return absent('badInvitation') end
            end
            if ARGV[3] == 'other' or redis.call('EXISTS', KEYS[1]) == 1 then return 'nameTaken' end
            if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then return 'full' end
            -- In this order: an invitation is used up only where the user stands.
            redis.call('SET', KEYS[1], ARGV[2])
            redis.call('ZADD', KEYS[2], 0, ARGV[1])
            if ARGV[4] == 'invite' then
                redis.call('DEL', KEYS[7], KEYS[8])
                redis.call('ZREM', KEYS[3], ARGV[7])
            end
            redis.call('DEL', KEYS[5])
            redis.call('SET', KEYS[6], ARGV[10])
            return 'registered'
            """
    )

    /// Puts another record in the place of the one that was read. Atomic, so that a name that changes hands meanwhile
    /// keeps its new keys.
    ///
    /// KEYS user. ARGV the record that was read, the new one. Returns 1 when it stands there.
    static let update = RedisScript(
        standing + """
            if standing(KEYS[1]) ~= ARGV[1] then return 0 end
            redis.call('SET', KEYS[1], ARGV[2])
            return 1
            """
    )

    /// Makes an invitation. Atomic, so that there are never more than there may be.
    ///
    /// KEYS user (if it is for a name; else anything), invitation, invitations, note. ARGV name or nothing, life in
    /// milliseconds, how many there may be, digest, what is to stand there, the note or nothing. Returns
    /// {how it ended, when it expires in seconds}.
    static let invite = RedisScript(
        clock + """
            local now = clock()
            redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('(%d', now))
            if ARGV[1] ~= '' and redis.call('EXISTS', KEYS[1]) == 1 then return {'nameTaken', 0} end
            if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return {'tooMany', 0} end
            local expiry = now + tonumber(ARGV[2])
            redis.call('SET', KEYS[2], ARGV[5], 'PXAT', string.format('%d', expiry))
            redis.call('ZADD', KEYS[3], string.format('%d', expiry), ARGV[4])
            if ARGV[6] ~= '' then redis.call('SET', KEYS[4], ARGV[6], 'PXAT', string.format('%d', expiry)) end
            return {'invited', math.floor(expiry / 1000)}
            """
    )

    /// Takes an invitation back. KEYS invitation, invitations, note. ARGV digest.
    static let withdraw = RedisScript(
        """
        redis.call('ZREM', KEYS[2], ARGV[1])
        return redis.call('DEL', KEYS[1], KEYS[3])
        """
    )

    /// A page of users, of one moment.
    ///
    /// KEYS users. ARGV prefix of users, the name before the first or nothing, how many.
    /// Returns {1 if these are the last, {name, record, …}}.
    static let page = RedisScript(
        standing + """
            local first = ARGV[2] == '' and '-' or '(' .. ARGV[2]
            local names = redis.call('ZRANGEBYLEX', KEYS[1], first, '+', 'LIMIT', 0, ARGV[3] + 1)
            local page = {}
            for i = 1, math.min(#names, tonumber(ARGV[3])) do
                page[#page + 1] = names[i]
                page[#page + 1] = standing(ARGV[1] .. names[i])
            end
            return {#names <= tonumber(ARGV[3]) and 1 or 0, page}
            """
    )

    /// KEYS users, invitations. Returns {names, invitations that can still be used}.
    static let counts = RedisScript(
        clock + """
            -- A key lives to the end of the millisecond it expires in.
            local now = string.format('%d', clock())
            return {redis.call('ZCARD', KEYS[1]), redis.call('ZCOUNT', KEYS[2], now, '+inf')}
            """
    )

    /// Frees a name, and records the removal: also when no user had it, since Redis may have lost the user. Atomic, so
    /// that the list never differs from the users.
    ///
    /// KEYS user, users, removal, account. ARGV name, what is to stand as its removal. Returns 1 when a user had it.
    static let remove = RedisScript(
        """
        redis.call('ZREM', KEYS[2], ARGV[1])
        redis.call('SET', KEYS[3], ARGV[2])
        redis.call('DEL', KEYS[4])
        return redis.call('DEL', KEYS[1])
        """
    )

    /// Writes users that Redis has lost; a user that is there by now stays unchanged, and one that was removed stays
    /// away.
    ///
    /// KEYS users, then the user and the removal of each name. ARGV for each name itself, its record (nothing where one
    /// was read), and the removal that was read, which is not good (or nothing).
    /// Returns the names that were written.
    static let restore = RedisScript(
        standing + """
            local written = {}
            for i = 1, #ARGV / 3 do
                local name, record, removal = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
                if standing(KEYS[2 * i + 1]) == removal then
                    if record ~= '' and redis.call('SET', KEYS[2 * i], record, 'NX') then
                        written[#written + 1] = name
                    end
                    redis.call('ZADD', KEYS[1], 0, name)
                end
            end
            return written
            """
    )

    /// What stands about accounts, or as the notes of invitations. KEYS those. Returns {text, …}; what is not there is
    /// empty.
    static let texts = RedisScript(
        standing + """
            local found = {}
            for i, key in ipairs(KEYS) do found[i] = standing(key) end
            return found
            """
    )

    /// Puts another account in the place of the one that was read. Atomic, so that no change of another operator is
    /// lost.
    ///
    /// KEYS user, account. ARGV the account that was read, the new one. Returns `done`, `moved`, or `unknown` when no
    /// user has the name.
    static let account = RedisScript(
        standing + """
            if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
            if standing(KEYS[2]) ~= ARGV[1] then return 'moved' end
            redis.call('SET', KEYS[2], ARGV[2])
            return 'done'
            """
    )

    /// Writes an account where there is none. KEYS account. ARGV what is to stand there.
    static let keepAccount = RedisScript("return redis.call('SET', KEYS[1], ARGV[1], 'NX') and 1 or 0")

    /// Gives a user another name. Atomic, so that there is never a user under both names, or under none.
    ///
    /// KEYS the user, the removal and the account of the old name, those of the new name, users. ARGV the record that
    /// was read, the new record, the account that was read, the new account, the old name, what stands as its removal,
    /// the new name. Returns `renamed`, `taken`, or `moved` when something else stands there by now.
    static let rename = RedisScript(
        standing + """
            if standing(KEYS[1]) ~= ARGV[1] or standing(KEYS[3]) ~= ARGV[3] then return 'moved' end
            if redis.call('EXISTS', KEYS[4]) == 1 then return 'taken' end
            redis.call('SET', KEYS[4], ARGV[2])
            redis.call('SET', KEYS[6], ARGV[4])
            redis.call('DEL', KEYS[5], KEYS[1], KEYS[3])
            redis.call('SET', KEYS[2], ARGV[6])
            redis.call('ZADD', KEYS[7], 0, ARGV[7])
            redis.call('ZREM', KEYS[7], ARGV[5])
            return 'renamed'
            """
    )

    /// The digests of the invitations that can still be used, and when they expire. KEYS invitations. ARGV how many at
    /// most. Returns {digest, milliseconds, …}.
    static let invitations = RedisScript(
        clock + """
            return redis.call(
                'ZRANGEBYSCORE', KEYS[1], string.format('%d', clock()), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])
            """
    )

    /// Writes a user of a copy, in the place of the user that stands there. Atomic, so that the list never differs from
    /// the users. KEYS user, users, removal, account. ARGV name, record, account.
    static let put = RedisScript(
        """
        redis.call('SET', KEYS[1], ARGV[2])
        redis.call('ZADD', KEYS[2], 0, ARGV[1])
        redis.call('DEL', KEYS[3])
        redis.call('SET', KEYS[4], ARGV[3])
        return 1
        """
    )

    /// Writes an invitation of a copy. KEYS invitation, invitations, note. ARGV digest, what is to stand there, when it
    /// expires in milliseconds, the note or nothing.
    static let putInvitation = RedisScript(
        """
        redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
        redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
        if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4], 'PXAT', ARGV[3]) end
        return 1
        """
    )

    /// Adds to the bytes that users have moved on a day. KEYS their counts. ARGV the life of a count in seconds, and
    /// the bytes of each. Returns the sums.
    static let traffic = RedisScript(
        """
        local sums = {}
        for i, key in ipairs(KEYS) do
            -- One that holds something else must not take the others with it.
            local sum = redis.pcall('INCRBY', key, ARGV[i + 1])
            sums[i] = type(sum) == 'number' and sum or ''
            if sums[i] ~= '' then redis.call('EXPIRE', key, ARGV[1]) end
        end
        return sums
        """
    )
}
