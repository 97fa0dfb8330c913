// SPDX-License-Identifier: Apache-2.0

/// The login at a Redis: AUTH, SELECT, INFO and PING, one after the other, each only where it is needed, and with them
/// whether it is the server to talk to: a master where Sentinels say so, the node that has the slot in a cluster.
struct HandshakeMachine {
    /// What is to be done.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Send this and wait for its reply.
        case send(RedisCommand)
        /// The connection can be used.
        case ready(RedisVersion)
        /// Close the connection; this server has the slot.
        case redirect(RedisEndpoint)
        /// Close the connection; trying again does not help.
        case refuse(RedisRefusal)
        /// Close the connection.
        case fail(RedisError)
    }

    private enum Step: Hashable {
        case authenticate
        case select
        case inform
        case role(RedisVersion)
        case slot(RedisVersion)
        case nodes(RedisVersion)
        case ping(RedisVersion)
    }

    private enum State: Hashable {
        case idle
        case waiting(Step)
        case ended
    }

    private let url: RedisURL
    private let server: RedisEndpoint?
    private let key: String?
    private var state = State.idle
    /// The servers of the cluster, once they were asked for.
    private(set) var nodes: [RedisEndpoint] = []

    /// The login that `url` asks for.
    ///
    /// - Parameters:
    ///   - server: which of the URL's it is, or which other one.
    ///   - key: a key of the slot that matters in a cluster; without one no server is asked whether it has it.
    init(url: RedisURL, server: RedisEndpoint? = nil, key: String? = nil) {
        (self.url, self.server, self.key) = (url, server, key)
    }

    /// The connection, TLS included, stands.
    mutating func connected() -> Action {
        switch state {
        case .idle: url.password == nil ? selectDatabase() : authenticate()
        case .waiting, .ended: .none
        }
    }

    /// A reply came.
    mutating func replyReceived(_ reply: RESPValue) -> Action {
        switch state {
        case .idle: return end(.fail(RedisError(.unreachable, Self.message(of: reply) ?? "it spoke first")))
        case .ended: return .none
        case .waiting(let step):
            if case .error(let text) = reply { return refused(text, at: step) }
            switch step {
            case .authenticate: return reply == .simple("OK") ? selectDatabase() : unexpected()
            case .select: return reply == .simple("OK") ? inform() : unexpected()
            case .inform: return informed(reply)
            case .role(let version): return told(role: reply, version)
            case .slot(let version): return reply.number == nil ? unexpected() : askNodes(version)
            case .nodes(let version):
                nodes = ClusterMap.nodes(reply, by: server)
                return ping(version)
            case .ping(let version): return reply == .simple("PONG") ? end(.ready(version)) : unexpected()
            }
        }
    }

    /// The time for the handshake is over.
    mutating func timedOut() -> Action {
        switch state {
        case .idle, .waiting: end(.fail(RedisError(.unreachable, "it accepted the connection and did not answer")))
        case .ended: .none
        }
    }

    /// The connection ended.
    mutating func closed() -> Action {
        switch state {
        case .idle, .waiting: end(.fail(RedisError(.unreachable, "it closed the connection during the login")))
        case .ended: .none
        }
    }

    private mutating func authenticate() -> Action {
        state = .waiting(.authenticate)
        guard let user = url.user else { return .send(RedisCommand("AUTH", url.password ?? "")) }
        return .send(RedisCommand("AUTH", user, url.password ?? ""))
    }

    private mutating func selectDatabase() -> Action {
        guard url.database != 0 else { return inform() }
        state = .waiting(.select)
        return .send(RedisCommand("SELECT", String(url.database)))
    }

    private mutating func inform() -> Action {
        state = .waiting(.inform)
        return .send(RedisCommand("INFO", "server"))
    }

    private mutating func informed(_ reply: RESPValue) -> Action {
        guard let text = reply.text, let version = RedisVersion(info: text) else {
            return end(.fail(RedisError(.protocolViolation, "it does not say which version it is")))
        }
        guard version.isSupported else { return end(.refuse(.tooOld(version.text))) }
        switch version.mode {
        case .sentinel: return end(.refuse(.isSentinel))
        case .cluster:
            guard url.master == nil else { return end(.refuse(.clusterWithSentinels)) }
            guard version.hasShardedChannels else { return end(.refuse(.tooOldForCluster(version.text))) }
            guard let key else { return ping(version) }
            state = .waiting(.slot(version))
            return .send(RedisCommand("EXISTS", key))
        case .standalone:
            guard url.endpoints.count == 1 || url.master != nil else { return end(.refuse(.severalServers)) }
            guard url.master != nil else { return ping(version) }
            state = .waiting(.role(version))
            return .send(RedisCommand("INFO", "replication"))
        }
    }

    private mutating func told(role reply: RESPValue, _ version: RedisVersion) -> Action {
        guard let text = reply.text, let role = RedisVersion.fields(text)["role"] else { return unexpected() }
        guard role == "master" else {
            return end(.fail(RedisError(.unreachable, "it is a replica, and not \(url.master ?? "")")))
        }
        return ping(version)
    }

    private mutating func askNodes(_ version: RedisVersion) -> Action {
        state = .waiting(.nodes(version))
        return .send(RedisCommand("CLUSTER", "SLOTS"))
    }

    private mutating func ping(_ version: RedisVersion) -> Action {
        // The others answer while data is still being loaded; this one says so.
        state = .waiting(.ping(version))
        return .send(RedisCommand("PING"))
    }

    private mutating func unexpected() -> Action {
        end(.fail(RedisError(.protocolViolation, "it answered the login with something else")))
    }

    private mutating func end(_ action: Action) -> Action {
        state = .ended
        return action
    }

    private mutating func refused(_ text: String, at step: Step) -> Action {
        switch step {
        case .slot(let version):
            if let server, let place = RedisEndpoint(moved: text, by: server) { return end(.redirect(place)) }
            // Part of the slot is elsewhere already, and this server still answers for it.
            if text.hasPrefix("ASK ") || text.hasPrefix("TRYAGAIN") { return askNodes(version) }
        // It is known from the URL then where else to look.
        case .nodes(let version): return ping(version)
        case .authenticate, .select, .inform, .role, .ping: break
        }
        switch text.prefix(while: { $0 != " " }) {
        case "NOAUTH": return end(.refuse(.passwordMissing))
        case "WRONGPASS": return end(.refuse(.wrongPassword))
        case "DENIED": return end(.refuse(.protectedMode))
        case "NOPERM":
            switch step {
            case .authenticate: return end(.refuse(.notPermitted("AUTH")))
            case .select: return end(.refuse(.notPermitted("SELECT")))
            case .inform, .role: return end(.refuse(.notPermitted("INFO")))
            case .slot: return end(.refuse(.notPermitted("EXISTS")))
            // It answers commands, which is what PING was to find out.
            case .ping(let version), .nodes(let version): return end(.ready(version))
            }
        case "ERR":
            switch step {
            case .authenticate: return end(refusal(ofLogin: text.lowercased()))
            case .select:
                if text.lowercased().contains("cluster mode") {
                    return end(.refuse(.databaseInCluster(url.database)))
                }
                return end(
                    text.lowercased().contains("db") ? .refuse(.noSuchDatabase(url.database)) : Self.failure(text))
            case .inform, .role, .slot, .nodes, .ping: return end(Self.failure(text))
            }
        // Loading, a lost primary, a script that runs too long: it gets better by itself.
        case let code:
            return end(step == .authenticate ? Self.failure(String(code)) : Self.failure(text))
        }
    }

    /// The text is not repeated: Redis quotes arguments of what it does not understand, and these are the password's.
    private func refusal(ofLogin text: String) -> Action {
        if text.contains("without any password") || text.contains("no password is set") {
            return .refuse(.passwordNotExpected)
        }
        if text.contains("invalid password") { return .refuse(.wrongPassword) }
        // Before ACL, version 6, there was no AUTH with two arguments.
        if text.contains("wrong number of arguments") { return .refuse(.tooOld("5 or older")) }
        if text.contains("max number of clients") { return Self.failure("it has too many clients") }
        return Self.failure("it did not accept the login")
    }

    private static func failure(_ text: String) -> Action { .fail(RedisError(.unreachable, "it says: \(text)")) }

    private static func message(of reply: RESPValue) -> String? {
        if case .error(let text) = reply { "it says: \(text)" } else { nil }
    }
}
