// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RedisTransport
import Synchronization
import WSProtocol

/// The users' registry of a cluster, in Redis.
///
/// Users that were seen stay in memory. With Redis away they are good enough for a login, and when Redis was emptied
/// they are written again.
final class RedisUserDirectory: UserDirectory {
    private struct State {
        var cache = UserCache()
        /// Users of this node's own registry that Redis has not got yet.
        var local: [User]
        var counts = (users: 0, invitations: 0)
    }

    private let store: ClusterStore
    private let epoch: ClusterEpoch
    private let mode: ServerMessage.Registration
    /// Tells the other nodes to look at a user again.
    private let changed: @Sendable (PeerName) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - mode: who may register a new name.
    ///   - local: users of a registry this node had before it joined a cluster.
    ///   - changed: a name was removed or has other keys.
    init(
        store: ClusterStore, epoch: ClusterEpoch, mode: ServerMessage.Registration, local: [User] = [],
        changed: @escaping @Sendable (PeerName) -> Void
    ) {
        self.store = store
        self.epoch = epoch
        self.mode = mode
        self.changed = changed
        state = Mutex(State(local: local))
    }

    /// The owner of `name`; the last one seen when Redis does not say.
    /// - Throws: ``ClusterUnavailable`` when nobody knows.
    func user(named name: PeerName) async throws -> User? {
        do {
            return try await read(name).get().user
        } catch {
            guard let user = state.withLock({ $0.cache[name] }) else { throw error }
            return user
        }
    }

    func register(
        _ name: PeerName, key: SigningKey, exchangeKey: ExchangeKey, invitation: InvitationCode?
    ) async throws -> RegistrationOutcome {
        let known = epoch.known
        // In a Redis that was just emptied a free name may be somebody's.
        guard epoch.isSettled(known, now: .now()) else { throw ClusterUnavailable.settling }
        let user = User(name: name, key: key, exchangeKey: exchangeKey)
        let digest = invitation?.digest
        let keys =
            [ClusterKeys.user(name), ClusterKeys.users, ClusterKeys.invitations, ClusterKeys.epoch]
            + (digest.map { [ClusterKeys.invitation($0)] } ?? [])
        let reply = try await store.run(
            UserScripts.register, keys: keys,
            arguments: [
                name.rawValue, UserRecord(user).text, key.rawValue, mode.rawValue,
                "\(Defaults.Users.maximumUsers)", known?.rawValue ?? "", digest?.rawValue ?? "",
            ]
        ).get()
        switch reply.text {
        case "registered", "same": break
        case "changed": changed(name)
        case "nameTaken": return .nameTaken
        case "badInvitation": return .badInvitation
        case "closed": return .closed
        case "full": throw UserRegistry.Full()
        case "settling": throw ClusterUnavailable.settling
        default: throw ClusterUnavailable.nonsense
        }
        state.withLock { $0.cache[name] = user }
        return .registered
    }

    func updateExchangeKey(_ name: PeerName, exchangeKey: ExchangeKey) async throws {
        let known = state.withLock { $0.cache[name] }
        if known?.exchangeKey == exchangeKey { return }
        let reply = try await store.run(
            UserScripts.update, keys: [ClusterKeys.user(name)],
            arguments: [exchangeKey.rawValue, known?.key.rawValue ?? ""]
        ).get()
        guard let record = reply.text.flatMap(UserRecord.init) else { return }
        state.withLock { $0.cache[name] = record.user(name) }
        changed(name)
    }

    /// What Redis says about `name`, and what was known before.
    private func read(_ name: PeerName) -> EventLoopFuture<(user: User?, before: User?)> {
        store.run(UserScripts.read, keys: [ClusterKeys.user(name), ClusterKeys.epoch]).flatMapThrowing { reply in
            guard let parts = reply.elements, parts.count == 2, let epoch = parts[0].text, let text = parts[1].text
            else { throw ClusterUnavailable.nonsense }
            if text.isEmpty {
                // Absence means something only where everything has been written.
                guard self.epoch.isSettled(Epoch(rawValue: epoch), now: .now()) else {
                    throw ClusterUnavailable.settling
                }
            } else if UserRecord(text) == nil {
                throw ClusterUnavailable.nonsense
            }
            let user = UserRecord(text)?.user(name)
            return self.state.withLock { state in
                let before = state.cache[name]
                state.cache[name] = user
                return (user, before)
            }
        }
    }
}

// MARK: - What routing does for the registry

extension RedisUserDirectory {
    /// Reads `name` again, since somebody says that it changed. Nil: it is as it was.
    func refresh(_ name: PeerName) -> EventLoopFuture<User??> {
        read(name).map { read in
            if let user = read.user, user == read.before { return nil }
            return .some(read.user)
        }
    }

    /// The users that were seen.
    var seen: [User] { state.withLock { $0.cache.all } }

    /// Hands over the users of this node's own registry, once.
    func takeLocal() -> [User] {
        state.withLock { state in
            defer { state.local = [] }
            return state.local
        }
    }

    /// Writes those of `users` that Redis does not have; returns how many these were.
    func restore(_ users: [User]) -> EventLoopFuture<Int> {
        store.run(
            UserScripts.restore, keys: [ClusterKeys.users] + users.map { ClusterKeys.user($0.name) },
            arguments: users.flatMap { [$0.name.rawValue, UserRecord($0).text] }
        ).map { Int(clamping: $0.number ?? 0) }
    }
}

// MARK: - The operator's side

extension RedisUserDirectory: UserAdministration {
    func invite(_ name: PeerName?, lifetime: Int64) async throws -> (code: InvitationCode, expires: UnixTime) {
        guard let code = InvitationCode.random(), let digest = code.digest else {
            throw OperatorError(.inputOutput, "cannot make an invitation")
        }
        let lifetime = min(max(lifetime, 1), Defaults.Users.maximumInvitationLifetime)
        let reply = try await ask(
            UserScripts.invite,
            [name.map(ClusterKeys.user) ?? ClusterKeys.users, ClusterKeys.invitation(digest), ClusterKeys.invitations],
            [name?.rawValue ?? "", "\(lifetime * 1000)", "\(Defaults.Users.maximumInvitations)", digest.rawValue]
        )
        guard let parts = reply.elements, parts.count == 2, let seconds = parts[1].number else { throw Self.nonsense }
        let outcome: UserRegistry.InviteOutcome
        switch parts[0].text {
        case "invited": outcome = .invited
        case "nameTaken": outcome = .nameTaken
        case "tooMany": outcome = .tooMany
        default: throw Self.nonsense
        }
        if let refusal = outcome.refusal(name) { throw refusal }
        return (code, UnixTime(seconds: seconds))
    }

    func users(after: PeerName?, limit: Int) async throws -> (users: [User], isLast: Bool) {
        let reply = try await ask(
            UserScripts.page, [ClusterKeys.users], [ClusterKeys.userPrefix, after?.rawValue ?? "", "\(limit)"]
        )
        guard let parts = reply.elements, parts.count == 2, let isLast = parts[0].number,
            let entries = parts[1].elements, entries.count.isMultiple(of: 2)
        else { throw Self.nonsense }
        let users = stride(from: 0, to: entries.count, by: 2).compactMap { index in
            entries[index].text.flatMap(PeerName.init(rawValue:)).flatMap { name in
                entries[index + 1].text.flatMap(UserRecord.init)?.user(name)
            }
        }
        return (users, isLast == 1)
    }

    func remove(_ name: PeerName) async throws -> Bool {
        let reply = try await ask(UserScripts.remove, [ClusterKeys.user(name), ClusterKeys.users], [name.rawValue])
        state.withLock { $0.cache[name] = nil }
        guard reply.number == 1 else { return false }
        changed(name)
        return true
    }

    func counts() async -> (users: Int, invitations: Int) {
        let reply = try? await ask(UserScripts.counts, [ClusterKeys.users, ClusterKeys.invitations], [])
        return state.withLock { state in
            if let parts = reply?.elements, parts.count == 2, let users = parts[0].number,
                let invitations = parts[1].number
            {
                state.counts = (Int(clamping: users), Int(clamping: invitations))
            }
            return state.counts
        }
    }

    private static let nonsense = OperatorError(.unavailable, "the users' registry in Redis makes no sense")

    /// Runs a script for an operator.
    /// - Throws: ``OperatorError`` in words when Redis does not say.
    private func ask(_ script: RedisScript, _ keys: [String], _ arguments: [String]) async throws -> RESPValue {
        do {
            return try await store.run(script, keys: keys, arguments: arguments).get()
        } catch {
            throw OperatorError(.unavailable, "the users' registry is in Redis, which does not answer: \(error)")
        }
    }
}
