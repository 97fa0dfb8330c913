// SPDX-License-Identifier: Apache-2.0

/// What can go wrong with Redis.
///
/// Two errors are equal when their codes are. `description` is one line for people; nothing in it is a secret, and what
/// Redis said is in it only as short, printable text.
package struct RedisError: Error, Sendable {
    /// What happened.
    package enum Code: Hashable, Sendable, CaseIterable {
        /// There is no connection at the moment; it is being tried again.
        case unavailable
        /// The connection could not be made.
        case unreachable
        /// The connection ended before the reply came: the command may or may not have been run.
        case disconnected
        /// The reply did not come in time: the command may or may not have been run.
        case deadlineExceeded
        /// Too many commands, or too many bytes of them, are waiting for replies.
        case overloaded
        /// The command is larger than a command may be.
        case tooLarge
        /// What came is not what Redis says.
        case protocolViolation
        /// Redis replied with an error.
        case replied
        /// Redis will not have us: see `RedisRefusal`.
        case refused
        /// A subscription's heartbeat did not come back.
        case silent
        /// The client was stopped.
        case stopped

        /// The constant message of the code.
        package var message: String {
            switch self {
            case .unavailable: "there is no connection to Redis at the moment; it is being tried again"
            case .unreachable: "Redis cannot be reached"
            case .disconnected: "the connection to Redis ended before the reply came"
            case .deadlineExceeded: "Redis did not reply in time"
            case .overloaded: "too many commands are waiting for Redis"
            case .tooLarge: "the command for Redis is too large"
            case .protocolViolation: "what came is not a reply of Redis"
            case .replied: "Redis replied with an error"
            case .refused: "Redis refused this node"
            case .silent: "the subscription at Redis is dead"
            case .stopped: "the connection to Redis was ended by this node"
            }
        }
    }

    /// What happened.
    package let code: Code
    /// Printable details of the error; nil if there are none.
    package let detail: String?

    /// Makes an error. Of `detail` what is not printable ASCII is replaced, and what is too long is cut.
    package init(_ code: Code, _ detail: String? = nil) {
        self.code = code
        self.detail = detail.map(Self.printable)
    }

    /// Whether Redis replied with an error whose first word, its code, is `word`.
    ///
    /// Up to version 6.2 an error inside a script is told in the middle of another one.
    package func isReply(_ word: String) -> Bool {
        guard code == .replied, let detail else { return false }
        let words = detail.split(separator: " ")
        if words.first == word[...] { return true }
        guard detail.hasPrefix("ERR Error running script") else { return false }
        return words.contains { $0 == word[...] || $0 == "-" + word }
    }

    /// Whether Redis says that the user may not do it, by itself or inside a script.
    package var isForbidden: Bool {
        if isReply("NOPERM") { return true }
        guard code == .replied, let detail else { return false }
        // Inside a script: Redis 7.0, then Redis since 7.2 and Valkey.
        return ["user executing the script can't run this", "ACL failure in script"].contains { detail.contains($0) }
    }

    /// Whether a Redis Cluster says that it did not run a command because the slot, or a part of it, is elsewhere, or
    /// that it does not know where: it will be known soon.
    var isElsewhere: Bool {
        if ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"].contains(where: isReply) { return true }
        // Inside a script that reads keys which it does not name. These read only, and may be run again.
        return code == .replied && detail?.contains("access a non local key in a cluster node") == true
    }

    /// `text` as one short line of printable ASCII.
    static func printable(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(RedisDefaults.quotedLength).map { scalar in
            (0x20...0x7E).contains(scalar.value) ? Character(scalar) : "?"
        }
        let isCut = text.unicodeScalars.count > RedisDefaults.quotedLength
        return String(shown) + (isCut ? "..." : "")
    }
}

extension RedisError: Equatable {
    /// Equal codes make equal errors.
    package static func == (left: RedisError, right: RedisError) -> Bool { left.code == right.code }
}

extension RedisError: CustomStringConvertible {
    /// The message, and the detail behind it.
    package var description: String { detail.map { "\(code.message): \($0)" } ?? code.message }
}

/// Why this Redis cannot be used until its configuration or this node's is changed. Trying again does not help.
package enum RedisRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The user or the password is wrong.
    case wrongPassword
    /// Redis wants a password and the URL has none.
    case passwordMissing
    /// The URL has a password and Redis has none.
    case passwordNotExpected
    /// The version is older than the oldest that works.
    case tooOld(String)
    /// The user may not run a command that is needed.
    case notPermitted(String)
    /// There is no database of this number.
    case noSuchDatabase(Int)
    /// Redis takes connections from its own machine only.
    case protectedMode
    /// It is a Sentinel, and the URL is that of a Redis.
    case isSentinel
    /// No Sentinel watches a master of this name.
    case noSuchMaster(String)
    /// The Sentinels want a login, or another one.
    case sentinelPassword
    /// The URL has Sentinels, and they watch a node of a Redis Cluster.
    case clusterWithSentinels
    /// The version is older than the oldest that works as a cluster.
    case tooOldForCluster(String)
    /// A Redis Cluster has no other database than 0.
    case databaseInCluster(Int)
    /// The URL has several servers, and they are no cluster.
    case severalServers

    /// One line: what is wrong, and what to do about it.
    package var description: String {
        switch self {
        case .wrongPassword:
            "Redis says that the user name or the password is wrong; correct it in the URL of Redis"
        case .passwordMissing:
            "Redis wants a password; write the URL as redis://user:password@host:port"
        case .passwordNotExpected:
            "the URL of Redis has a password and Redis has none; set one there (requirepass, or an ACL user)"
        case .tooOld(let version):
            "Redis \(version) is too old; \(RedisVersion.oldest) or newer is needed, or any Valkey"
        case .notPermitted(let what):
            "the Redis user may not use \(what); allow it in its ACL"
        case .noSuchDatabase(let number):
            "Redis has no database \(number); choose another at the end of its URL"
        case .protectedMode:
            "Redis is in protected mode and takes no connections from other machines; give it a password"
        case .isSentinel:
            "this is a Sentinel and no Redis; write the URL as redis+sentinel://host:port,host:port/MASTER"
        case .noSuchMaster(let name):
            "the Sentinels watch no master called \(RedisError.printable(name)); "
                + "the name is the one in their `sentinel monitor`"
        case .sentinelPassword:
            "the Sentinels want a password, or another one; set redis-sentinel-login (it is not that of Redis itself)"
        case .clusterWithSentinels:
            "the Sentinels name a node of a Redis Cluster; write its URL as redis://host:port,host:port"
        case .tooOldForCluster(let version):
            "Redis \(version) is too old for a Redis Cluster; 7.0 or newer is needed, or any Valkey"
        case .databaseInCluster(let number):
            "a Redis Cluster has no database \(number); leave it out at the end of its URL"
        case .severalServers:
            "the URL of Redis names several servers, and they are no Redis Cluster: name one, or its Sentinels with "
                + "redis+sentinel://"
        }
    }
}
