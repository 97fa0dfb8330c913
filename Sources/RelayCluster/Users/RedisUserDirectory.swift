// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
package import RelayNode
import ServerSystem
import Synchronization
package import TransferBroker
package import WSProtocol

/// The users' registry of a cluster, in Redis.
///
/// Users that were seen stay in memory until they are found to be removed. With Redis away they are good enough for a
/// login, and what Redis has lost of them is written again.
package final class RedisUserDirectory: UserDirectory {
    /// What this node knows of the registry.
    struct State {
        var cache = UserCache()
        /// Accounts that were seen and are not plain, of users that are in the cache or were.
        var accounts: [PeerName: UserAccount] = [:]
        /// The accounts of `local`.
        var localAccounts: [PeerName: UserAccount] = [:]
        var accountObserver: (@Sendable (PeerName, UserAccount) -> Void)?
        /// Invitations of this node's own registry that are written once its users are.
        var localInvitations: [Invitation] = []
        /// Users of this node's own registry that have not been offered to Redis yet, and whether that is being done.
        var local: [User]
        var isImporting = false
        /// Whether all of that has been done.
        var hasImported = true
        var observer: (@Sendable (PeerName, User?) -> Void)?
        var counts = (users: 0, invitations: 0)
        /// Records that were found and that no node of this cluster has written, and when the log spoke of one last.
        var forged = 0
        var warned: NIODeadline?
    }

    let store: ClusterStore
    let records: UserRecords
    private let logger: Logger
    private let epoch: ClusterEpoch
    private let mode: ServerMessage.Registration
    /// Tells the other nodes to read a user again.
    let changed: @Sendable (PeerName) -> Void
    private let imported: @Sendable () -> Void
    let state: Mutex<State>

    /// - Parameters:
    ///   - secret: what shows that a record was written by a node of this cluster.
    ///   - mode: whether a new name may be registered, and how.
    ///   - local: a registry this node had before it joined a cluster.
    ///   - imported: all of `local` is in Redis, or has no place there.
    ///   - changed: a name was removed or has other keys.
    init(
        store: ClusterStore, secret: ClusterSecret, epoch: ClusterEpoch, logger: Logger,
        mode: ServerMessage.Registration, local: UserRegistry = UserRegistry(),
        imported: @escaping @Sendable () -> Void, changed: @escaping @Sendable (PeerName) -> Void
    ) {
        self.store = store
        self.logger = logger
        records = UserRecords(secret)
        self.epoch = epoch
        self.mode = mode
        self.changed = changed
        self.imported = imported
        state = Mutex(
            State(
                localAccounts: local.accounts, localInvitations: local.invitations.values.filter { $0.expires > .now },
                local: Array(local.users.values), hasImported: local.users.isEmpty && local.invitations.isEmpty))
    }

    /// The owner of `name`; the last one seen when Redis does not say.
    /// - Throws: ``ClusterUnavailable`` when neither Redis nor this node knows.
    package func user(named name: PeerName) async throws -> User? {
        do {
            let (epoch, standings) = try await read([name]).get()
            switch standings.first?.finding {
            case .owned(let user): return user
            case .removed: return nil
            case .missing:
                // A user that was seen and not removed is one that Redis has lost. Otherwise absence means something
                // only where everything has been written.
                if let user = state.withLock({ $0.cache[name] }) { return user }
                guard self.epoch.isSettled(epoch, now: .now()) else { throw ClusterUnavailable.settling }
                return nil
            // The user it belongs to may come when a node is there that knows them.
            case .forged, nil: throw ClusterUnavailable.nonsense
            }
        } catch {
            guard let user = state.withLock({ $0.cache[name] }) else { throw error }
            return user
        }
    }

    package func register(_ user: User, invitation: InvitationCode?) async throws -> RegistrationOutcome {
        let name = user.name
        let known = epoch.known
        // In a Redis that was just emptied a name that looks free may be taken.
        guard epoch.isSettled(known, now: .now()) else { throw ClusterUnavailable.settling }
        let digest = invitation?.digest
        let keys =
            [
                ClusterKeys.user(name), ClusterKeys.users, ClusterKeys.invitations, ClusterKeys.epoch,
                ClusterKeys.removed(name), ClusterKeys.account(name),
            ] + (digest.map { [ClusterKeys.invitation($0), ClusterKeys.note($0)] } ?? [])
        for _ in 0..<Defaults.Routing.changesOfUser {
            // With what it has lost of this name, Redis is reminded first.
            let standing = try await standing(name)
            let claim: NameClaim
            switch standing.finding {
            case .owned(let owner): claim = owner.key == user.key ? .own(owner.updated(by: user)) : .other
            // Redis has been told by now whose it is.
            case .missing where state.withLock({ $0.cache[name] != nil }): continue
            case .missing: claim = .free(user)
            case .removed: claim = standing.record == "" ? .free(user) : .other
            case .forged: claim = .other
            }
            let shown = try await self.invitation(digest, for: name)
            // A client of Redis that sees commands could put a signed record there itself: a refused one is not signed.
            let latest = claim.record(in: mode, isInvited: shown != nil)
            let account = UserAccount(registered: .now, note: shown?.note)
            let reply = try await store.run(
                UserScripts.register, keys: keys,
                arguments: [
                    name.rawValue, latest.map(records.text(of:)) ?? "", claim.word, mode.rawValue,
                    "\(Defaults.Users.maximumUsers)", known?.rawValue ?? "", digest?.rawValue ?? "", standing.record,
                    shown?.text ?? "", latest == nil ? "" : records.account(account, of: name),
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
            case "moved": continue
            default: throw ClusterUnavailable.nonsense
            }
            guard let latest else { throw ClusterUnavailable.nonsense }
            state.withLock { state in
                state.cache[name] = latest
                if reply.text == "registered" { state.accounts[name] = account }
            }
            return .registered
        }
        throw ClusterUnavailable.nonsense
    }

    package func update(_ latest: User) async throws -> Bool {
        let name = latest.name
        if let user = state.withLock({ $0.cache[name] }), user.key == latest.key, user.updated(by: latest) == user {
            return true
        }
        for _ in 0..<Defaults.Routing.changesOfUser {
            let standing = try await standing(name)
            guard case .owned(let user) = standing.finding else {
                // Removed: or Redis had lost it, and has been given it again meanwhile.
                guard state.withLock({ $0.cache[name] })?.key == latest.key else { return false }
                continue
            }
            guard user.key == latest.key else { return false }
            let updated = user.updated(by: latest)
            guard updated != user else { return true }
            let reply = try await store.run(
                UserScripts.update, keys: [ClusterKeys.user(name)],
                arguments: [standing.record, records.text(of: updated)]
            ).get()
            guard let isDone = reply.number else { throw ClusterUnavailable.nonsense }
            guard isDone == 1 else { continue }
            state.withLock { $0.cache[name] = updated }
            changed(name)
            return true
        }
        throw ClusterUnavailable.settling
    }

    func standing(_ name: PeerName) async throws -> UserStanding {
        guard let standing = try await read([name]).get().standings.first else { throw ClusterUnavailable.nonsense }
        return standing
    }

    /// What Redis says about `names`. What it has lost of those that were seen is written again; what has changed is
    /// told to the observer.
    private func read(_ names: [PeerName]) -> EventLoopFuture<(epoch: Epoch?, standings: [UserStanding])> {
        look(names).map { epoch, standings in
            var lost: [(User, UserStanding)] = []
            for (name, standing) in zip(names, standings) {
                guard let user = self.note(standing.finding, of: name) else { continue }
                if standing.record == "" {
                    lost.append((user, standing))
                } else {
                    self.repair(user, over: standing.record)
                }
            }
            // Before anything that is sent from here on.
            if !lost.isEmpty { _ = self.restore(lost) }
            return (epoch, standings)
        }
    }

    /// What Redis says about `names`; nothing comes of it.
    private func look(_ names: [PeerName]) -> EventLoopFuture<(epoch: Epoch?, standings: [UserStanding])> {
        let keys = names.flatMap { [ClusterKeys.user($0), ClusterKeys.removed($0)] }
        return store.run(UserScripts.read, keys: [ClusterKeys.epoch] + keys).flatMapThrowing { reply in
            guard let found = UserStanding.read(reply, names, self.records) else { throw ClusterUnavailable.nonsense }
            return found
        }
    }

    /// Puts a user that is known back in the place of what no node has written there.
    private func repair(_ user: User, over record: String) {
        _ = store.run(
            UserScripts.update, keys: [ClusterKeys.user(user.name)], arguments: [record, records.text(of: user)])
    }

    /// Remembers a finding; returns the user that Redis does not have any more, if one is known.
    private func note(_ finding: UserFinding, of name: PeerName) -> User? {
        let (before, observer) = state.withLock { state in
            let before = state.cache[name]
            switch finding {
            case .owned(let user): state.cache[name] = user
            case .removed:
                state.cache[name] = nil
                state.accounts[name] = nil
            case .missing: break
            case .forged: state.forged += 1
            }
            return (before, state.observer)
        }
        switch finding {
        case .owned(let user):
            if user != before { observer?(name, user) }
            return nil
        case .removed:
            observer?(name, nil)
            return nil
        case .missing: return before
        case .forged:
            warn(of: name)
            return before
        }
    }
}

// MARK: - What no node has written

extension RedisUserDirectory {
    /// Records that were found, and that no node of this cluster has written: each time they were read.
    var forged: Int { state.withLock { $0.forged } }

    private func warn(of name: PeerName) {
        let isDue = state.withLock { state in
            let now = NIODeadline.now()
            if let warned = state.warned, now < warned + Defaults.Routing.warningInterval { return false }
            state.warned = now
            return true
        }
        guard isDue else { return }
        logger.error(
            "a user's record in redis was made without this node's cluster secret, and counts for nothing: it is forged or damaged, or a node has another secret",
            metadata: [LogKeys.name: "\(name)"]
        )
    }
}

// MARK: - What routing does for the registry

extension RedisUserDirectory {
    /// Tells `observer` which user a name belongs to when that is found to have changed; nil: to none.
    func observe(_ observer: @escaping @Sendable (PeerName, User?) -> Void) {
        state.withLock { $0.observer = observer }
    }

    /// Reads `names` again, since something may have changed; the observer hears what has.
    func refresh(_ names: [PeerName]) -> EventLoopFuture<Void> {
        read(names).flatMap { _ in self.readAccounts(names) }.map { accounts in
            let observer = self.state.withLock { $0.accountObserver }
            for name in names { observer?(name, accounts[name] ?? UserAccount()) }
        }
    }

    /// Tells `observer` what is laid down about a user when that may have changed.
    func observeAccounts(_ observer: @escaping @Sendable (PeerName, UserAccount) -> Void) {
        state.withLock { $0.accountObserver = observer }
    }

    /// The users that were seen.
    var seen: [User] { state.withLock { $0.cache.all } }

    /// Writes those of `users` that Redis does not have and that were not removed; returns how many these were.
    func restore(_ users: [User]) -> EventLoopFuture<Int> {
        look(users.map(\.name)).flatMap { self.restore(Array(zip(users, $0.standings))) }
    }

    private func restore(_ users: [(User, UserStanding)]) -> EventLoopFuture<Int> {
        write(users).map { names in
            self.keep(self.state.withLock { $0.accounts }, of: names)
            return names.count
        }
    }

    /// Writes those that stood nowhere when Redis was asked, and returns their names. Only their records are made: a
    /// name that stands there may be another user's.
    private func write(_ users: [(user: User, standing: UserStanding)]) -> EventLoopFuture<Set<PeerName>> {
        let users = users.filter { $0.standing.finding != .removed }
        return store.run(
            UserScripts.restore,
            keys: [ClusterKeys.users]
                + users.flatMap { [ClusterKeys.user($0.user.name), ClusterKeys.removed($0.user.name)] },
            arguments: users.flatMap { user, standing in
                [user.name.rawValue, standing.finding == .missing ? records.text(of: user) : "", standing.removal]
            }
        ).map { reply in Set((reply.elements ?? []).compactMap { $0.text.flatMap(PeerName.init(rawValue:)) }) }
    }

    /// Writes the users of this node's own registry that Redis does not have, a few at a time, and then its
    /// invitations. What fails is tried again with the next call.
    func importLocal() {
        let batch = state.withLock { state -> [User]? in
            guard !state.isImporting, !state.hasImported else { return nil }
            state.isImporting = true
            return Array(state.local.prefix(Defaults.Routing.usersPerBatch))
        }
        guard let batch else { return }
        guard !batch.isEmpty else { return importInvitations() }
        look(batch.map(\.name)).flatMap { self.write(Array(zip(batch, $0.standings))) }.whenComplete { result in
            self.state.withLock { state in
                state.isImporting = false
                guard case .success(let written) = result else { return }
                state.local.removeFirst(min(batch.count, state.local.count))
                // Should Redis lose them, this node knows them.
                for user in batch where written.contains(user.name) {
                    state.cache[user.name] = user
                    state.accounts[user.name] = state.localAccounts[user.name]
                }
            }
            if case .success(let written) = result {
                self.keep(self.state.withLock { $0.localAccounts }, of: written)
            }
            if case .success = result { self.importLocal() }
        }
    }

    /// The invitations come last: one that was used by now must not come back because what is imported before it has to
    /// be tried again.
    private func importInvitations() {
        let batch = state.withLock { $0.localInvitations.prefix(Defaults.Routing.usersPerBatch) }
        // Each for itself: one that stands there may be used from now on, and must not be written again.
        let writes = batch.map { invitation in put(invitation).map { _ in invitation.digest } }
        EventLoopFuture.whenAllComplete(writes, on: store.eventLoop).whenSuccess { results in
            let written = Set(results.compactMap { try? $0.get() })
            let isOver = self.state.withLock { state in
                state.isImporting = false
                state.localInvitations.removeAll { written.contains($0.digest) }
                state.hasImported = state.localInvitations.isEmpty
                return state.hasImported
            }
            if isOver { return self.imported() }
            if written.count == batch.count { self.importLocal() }
        }
    }

    /// Writes an invitation of a copy.
    func put(_ invitation: Invitation) -> EventLoopFuture<RESPValue> {
        let digest = invitation.digest
        return store.run(
            UserScripts.putInvitation,
            keys: [ClusterKeys.invitation(digest), ClusterKeys.invitations, ClusterKeys.note(digest)],
            arguments: [
                digest.rawValue, records.invitation(digest, for: invitation.name),
                "\(Self.milliseconds(of: invitation.expires))",
                invitation.note.map { records.note($0, about: digest) } ?? "",
            ])
    }
}

// MARK: - The operator's side

extension RedisUserDirectory: UserAdministration {
    package func invite(
        _ name: PeerName?, lifetime: Int64, note: String?
    ) async throws -> (code: InvitationCode, expires: UnixTime) {
        guard let code = InvitationCode.random(), let digest = code.digest else {
            throw OperatorError(.inputOutput, "cannot make an invitation")
        }
        let lifetime = min(max(lifetime, 1), Defaults.Users.maximumInvitationLifetime)
        let reply = try await ask(
            UserScripts.invite,
            [
                name.map(ClusterKeys.user) ?? ClusterKeys.users, ClusterKeys.invitation(digest),
                ClusterKeys.invitations,
                ClusterKeys.note(digest),
            ],
            [
                name?.rawValue ?? "", "\(lifetime * 1000)", "\(Defaults.Users.maximumInvitations)", digest.rawValue,
                records.invitation(digest, for: name), note.map { records.note($0, about: digest) } ?? "",
            ]
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

    package func withdraw(_ code: InvitationCode) async throws {
        guard let digest = code.digest else { return }
        _ = try await ask(
            UserScripts.withdraw,
            [ClusterKeys.invitation(digest), ClusterKeys.invitations, ClusterKeys.note(digest)], [digest.rawValue])
    }

    package func users(after: PeerName?, limit: Int) async throws -> (users: [User], isLast: Bool) {
        let reply = try await ask(
            UserScripts.page, [ClusterKeys.users], [ClusterKeys.userPrefix, after?.rawValue ?? "", "\(limit)"]
        )
        guard let parts = reply.elements, parts.count == 2, let isLast = parts[0].number,
            let entries = parts[1].elements, entries.count.isMultiple(of: 2)
        else { throw Self.nonsense }
        let users = stride(from: 0, to: entries.count, by: 2).compactMap { index in
            entries[index].text.flatMap(PeerName.init(rawValue:)).flatMap { name in
                entries[index + 1].text.flatMap { records.user(name, $0) }
            }
        }
        return (users, isLast == 1)
    }

    package func remove(_ name: PeerName) async throws -> Bool {
        let reply = try await ask(
            UserScripts.remove,
            [ClusterKeys.user(name), ClusterKeys.users, ClusterKeys.removed(name), ClusterKeys.account(name)],
            [name.rawValue, records.removal(of: name)]
        )
        forget(name)
        // Also when no user had the name: other nodes may not know that yet.
        changed(name)
        return reply.number == 1
    }

    package func counts() async -> (users: Int, invitations: Int) {
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

    static let nonsense = OperatorError(.unavailable, "the users' registry in Redis makes no sense")

    /// Runs a script for an operator.
    /// - Throws: ``OperatorError`` when Redis does not say.
    func ask(_ script: RedisScript, _ keys: [String], _ arguments: [String]) async throws -> RESPValue {
        do {
            return try await store.run(script, keys: keys, arguments: arguments).get()
        } catch let error as ClusterUnavailable where error.cause == .wrongType {
            throw OperatorError(
                .refused,
                "{relay}:users or {relay}:invitations in Redis is not what a relay-server writes there: put back a copy of "
                    + "Redis' data, or give that key another name (RENAME)"
            )
        } catch {
            throw OperatorError(.unavailable, "the users' registry is in Redis, which does not answer: \(error)")
        }
    }
}

/// The users a node has seen, for when Redis is away. The first seen are forgotten first when there are too many.
struct UserCache: Sendable {
    private var users: [PeerName: User] = [:]
    private var order = OrderedQueue<PeerName>()
    private let capacity: Int

    init(capacity: Int = Defaults.Routing.cachedUsers) { self.capacity = capacity }

    /// The user called `name`, as last seen.
    subscript(name: PeerName) -> User? {
        get { users[name] }
        set {
            users[name] = newValue
            guard newValue != nil else { return }
            _ = order.append(name)
            while order.count > capacity, let oldest = order.popFirst() { users[oldest] = nil }
        }
    }

    /// All users that are cached.
    var all: [User] { Array(users.values) }
}
