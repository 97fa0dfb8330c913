// SPDX-License-Identifier: Apache-2.0

/// One question to one Sentinel: the login, where it wants one, and where the master is.
struct SentinelMachine {
    /// What is to be done.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Send this and wait for its reply.
        case send(RedisCommand)
        /// Close the connection: this is the answer.
        case answer(SentinelAnswer)
    }

    private enum State: Hashable {
        case idle
        case authenticating
        case asking
        case ended
    }

    private let master: String
    private let login: RedisLogin?
    private var state = State.idle

    /// - Parameter login: for Sentinels that want one; it is not the master's.
    init(master: String, login: RedisLogin?) {
        (self.master, self.login) = (master, login)
    }

    /// The connection, TLS included, stands.
    mutating func connected() -> Action {
        guard state == .idle else { return .none }
        guard let login else { return ask() }
        state = .authenticating
        return .send(login.command)
    }

    /// A reply came.
    mutating func replyReceived(_ reply: RESPValue) -> Action {
        switch state {
        case .idle: return failed("it spoke first")
        case .ended: return .none
        case .authenticating:
            // The text is not repeated: what is quoted in it could be the password's.
            guard case .error(let text) = reply else { return reply == .simple("OK") ? ask() : nonsense() }
            let isRefused = text.hasPrefix("WRONGPASS") || text.lowercased().contains("password")
            return isRefused ? end(.refused(.sentinelPassword)) : failed("it did not accept the login")
        case .asking: return answered(reply)
        }
    }

    /// The connection ended, or the time is over.
    mutating func ended(_ error: RedisError) -> Action {
        state == .ended ? .none : end(.failed(error))
    }

    private mutating func ask() -> Action {
        state = .asking
        return .send(RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master))
    }

    private mutating func answered(_ reply: RESPValue) -> Action {
        switch reply {
        case .null: return end(.unknown)
        case .error(let text) where text.hasPrefix("NOAUTH"): return end(.refused(.sentinelPassword))
        case .error(let text) where text.lowercased().contains("unknown command"): return failed("it is no Sentinel")
        case .error(let text): return failed("it says: \(text)")
        case .array(let parts):
            guard parts.count == 2, let host = parts[0].text, let port = parts[1].text.flatMap(RedisEndpoint.port),
                let server = RedisEndpoint(host: host, port: port)
            else { return nonsense() }
            return end(.master(server))
        case .simple, .integer, .bulk: return nonsense()
        }
    }

    private mutating func nonsense() -> Action { failed("it answered with something else than an address") }

    private mutating func failed(_ text: String) -> Action { end(.failed(RedisError(.unreachable, text))) }

    private mutating func end(_ answer: SentinelAnswer) -> Action {
        state = .ended
        return .answer(answer)
    }
}
