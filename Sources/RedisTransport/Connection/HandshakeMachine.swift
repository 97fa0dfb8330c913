// SPDX-License-Identifier: Apache-2.0

/// The login at a Redis: AUTH, SELECT, INFO and PING, one after the other, each only where it is needed.
struct HandshakeMachine {
    /// What is to be done.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Send this and wait for its reply.
        case send(RedisCommand)
        /// The connection can be used.
        case ready(RedisVersion)
        /// Close the connection; trying again does not help.
        case refuse(RedisRefusal)
        /// Close the connection.
        case fail(RedisError)
    }

    private enum Step: Hashable {
        case authenticate
        case select
        case inform
        case ping(RedisVersion)
    }

    private enum State: Hashable {
        case idle
        case waiting(Step)
        case ended
    }

    private let url: RedisURL
    private var state = State.idle

    /// The login that `url` asks for.
    init(url: RedisURL) {
        self.url = url
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
        switch text.prefix(while: { $0 != " " }) {
        case "NOAUTH": return end(.refuse(.passwordMissing))
        case "WRONGPASS": return end(.refuse(.wrongPassword))
        case "DENIED": return end(.refuse(.protectedMode))
        case "NOPERM":
            switch step {
            case .authenticate: return end(.refuse(.notPermitted("AUTH")))
            case .select: return end(.refuse(.notPermitted("SELECT")))
            case .inform: return end(.refuse(.notPermitted("INFO")))
            // It answers commands, which is what PING was to find out.
            case .ping(let version): return end(.ready(version))
            }
        case "ERR":
            switch step {
            case .authenticate: return end(refusal(ofLogin: text.lowercased()))
            case .select:
                return end(
                    text.lowercased().contains("db") ? .refuse(.noSuchDatabase(url.database)) : Self.failure(text))
            case .inform, .ping: return end(Self.failure(text))
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
