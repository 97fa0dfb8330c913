// SPDX-License-Identifier: Apache-2.0

import Dispatch
import FoundationEssentials
package import ServerSystem
import Synchronization
package import TransferBroker
package import WSProtocol

/// The users' registry of a single relay, in a file of its state directory, and their prekeys, each in one beside it.
///
/// Reading touches memory only, but for prekeys. Changes are made one after the other on a queue of their own, since
/// each waits for the disk: no event loop does. A change counts, in memory too, only once it is on the disk.
package final class FileUserDirectory: UserAdministration {
    private let registry: Mutex<UserRegistry>
    private let file: RegistryFile
    private let prekeys: PrekeyFiles
    private let writer = DispatchQueue(label: "relay.users")
    private let reader = DispatchQueue(label: "relay.prekeys", attributes: .concurrent)
    private let mode: ServerMessage.Registration
    /// Whether another process may be about to write the file.
    private let isFrozen = Mutex(false)
    private let now: @Sendable () -> UnixTime
    private let failures = Atomic<UInt64>(0)

    package var failedWrites: UInt64 { failures.load(ordering: .relaxed) }

    /// Loads the registry.
    /// - Parameters:
    ///   - mode: who may register a new name.
    ///   - repaired: told what was wrong when a copy of the registry had to be used.
    ///   - now: the calendar clock, for invitations.
    /// - Throws: ``OperatorError`` when the file is damaged; it is left as it is.
    package init(
        file: RegistryFile, mode: ServerMessage.Registration, repaired: (_ problem: String) -> Void,
        now: @escaping @Sendable () -> UnixTime = { UnixTime(seconds: Int64(Date().timeIntervalSince1970)) }
    ) throws(OperatorError) {
        registry = Mutex(try file.load(repaired: repaired))
        self.file = file
        prekeys = PrekeyFiles(directory: file.directory)
        self.mode = mode
        self.now = now
    }

    package func user(named name: PeerName) async throws -> User? {
        guard let user = registry.withLock({ $0.users[name] }) else { return nil }
        return await withCheckedContinuation { continuation in
            reader.async { [prekeys] in
                continuation.resume(returning: user.with(prekeys.prekey(of: user)))
            }
        }
    }

    package func register(_ user: User, invitation: InvitationCode?) async throws -> RegistrationOutcome {
        try await change(thenRecording: user) { [mode] registry, now in
            try registry.register(user.with(nil), invitation: invitation, mode: mode, now: now)
        }
    }

    package func update(_ latest: User) async throws -> Bool {
        // Nearly every login brings what is already there: it need not wait for others' changes.
        if let user = try await user(named: latest.name), user.key == latest.key, user.updated(by: latest) == user {
            return true
        }
        return try await change(thenRecording: latest) { registry, _ in registry.update(latest.with(nil)) }
    }

    /// Makes an invitation, good for `lifetime` seconds, for `name` or for any name.
    /// - Throws: ``OperatorError`` when the name is taken, there are too many invitations, or the disk fails.
    package func invite(
        _ name: PeerName?, lifetime: Int64, note: String?
    ) async throws -> (code: InvitationCode, expires: UnixTime) {
        guard let code = InvitationCode.random(), let digest = code.digest else {
            throw OperatorError(.inputOutput, "cannot make an invitation")
        }
        let lifetime = min(max(lifetime, 1), Defaults.Users.maximumInvitationLifetime)
        let (outcome, expires) = try await change { registry, now in
            let expires = now.advanced(by: lifetime)
            let invitation = Invitation(digest: digest, name: name, expires: expires, note: note)
            return (registry.invite(invitation, now: now), expires)
        }
        if let refusal = outcome.refusal(name) { throw refusal }
        return (code, expires)
    }

    package func withdraw(_ code: InvitationCode) async throws {
        guard let digest = code.digest else { return }
        try await change { registry, _ in registry.withdraw(digest) }
    }

    /// All users, in the order of their names.
    package func users() -> [User] {
        registry.withLock { Array($0.users.values) }.sorted { $0.name.rawValue < $1.name.rawValue }
    }

    /// At most `limit` users in the order of their names, from the one behind `after` on (nil: from the first), and
    /// whether these are the last.
    package func users(after: PeerName?, limit: Int) -> (users: [User], isLast: Bool) {
        let all = users()
        let start = after.flatMap { after in all.firstIndex { $0.name.rawValue > after.rawValue } ?? all.endIndex } ?? 0
        let page = all[start...].prefix(limit)
        return (Array(page), page.endIndex == all.endIndex)
    }

    /// How many names are registered, and how many invitations wait.
    package func counts() -> (users: Int, invitations: Int) {
        let now = now()
        return registry.withLock { ($0.users.count, $0.invitations.values.count { $0.expires > now }) }
    }

    /// Frees `name` for another key. Returns false when no user has it.
    package func remove(_ name: PeerName) async throws -> Bool {
        let isRemoved = try await change { registry, _ in registry.remove(name) }
        if isRemoved { prekeys.remove(name) }
        return isRemoved
    }

    /// Changes nothing any more, once this returns, or takes changes again: another process reads the file meanwhile,
    /// and writes it from then on.
    package func setFrozen(_ isFrozen: Bool) async {
        await withCheckedContinuation { continuation in
            writer.async { [self] in
                self.isFrozen.withLock { $0 = isFrozen }
                continuation.resume()
            }
        }
    }

    package func account(of name: PeerName) async throws -> UserAccount {
        registry.withLock { $0.accounts[name] } ?? UserAccount()
    }

    package func accounts(of names: [PeerName]) -> [PeerName: UserAccount] {
        let accounts = registry.withLock { $0.accounts }
        return Dictionary(
            names.compactMap { name in accounts[name].map { (name, $0) } }, uniquingKeysWith: { first, _ in first })
    }

    package func changeAccount(
        of name: PeerName, _ change: @escaping @Sendable (inout UserAccount) -> Void
    ) async throws -> UserAccount? {
        try await self.change { registry, _ in registry.changeAccount(of: name, change) }
    }

    package func rename(_ old: PeerName, to new: PeerName) async throws -> RenameOutcome {
        let outcome = try await change { registry, _ in registry.rename(old, to: new) }
        if outcome == .renamed { prekeys.remove(old) }
        return outcome
    }

    package func invitations() -> [Invitation] {
        let now = now()
        return registry.withLock { Array($0.invitations.values) }.filter { $0.expires > now }
    }

    package func restore(_ copy: RegistryCopy, isWhole: Bool) async throws {
        try await change { registry, _ in try registry.restore(copy, isWhole: isWhole) }
    }

    /// Runs `body` on a copy of the registry, after all earlier changes, and makes the copy the registry once it is on
    /// the disk.
    ///
    /// - Parameter user: whose prekey is recorded after that, where the name is theirs then.
    private func change<Value: Sendable>(
        thenRecording user: User? = nil, _ body: @escaping @Sendable (inout UserRegistry, UnixTime) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            writer.async { [self] in
                continuation.resume(
                    with: Result {
                        if isFrozen.withLock({ $0 }) {
                            throw OperatorError(.unavailable, "another process takes over: try again in a moment")
                        }
                        let value = try changeNow(body)
                        if let user { try recordNow(user) }
                        return value
                    })
            }
        }
    }

    /// Only on `writer`.
    private func recordNow(_ latest: User) throws {
        guard let prekey = latest.prekey, registry.withLock({ $0.users[latest.name]?.key }) == latest.key,
            prekey.replaces(prekeys.prekey(of: latest))
        else { return }
        try prekeys.write(prekey, of: latest)
    }

    /// Only on `writer`, which makes it the only one to set `registry`.
    private func changeNow<Value>(_ body: (inout UserRegistry, UnixTime) throws -> Value) throws -> Value {
        let old = registry.withLock { $0 }
        var new = old
        let value = try body(&new, now())
        guard new != old else { return value }
        new.prune(now: now())
        do {
            try file.replace(with: new)
        } catch {
            failures.wrappingAdd(1, ordering: .relaxed)
            throw error
        }
        registry.withLock { $0 = new }
        return value
    }
}

extension User {
    /// This user, with `prekey` in place of the prekey of before.
    fileprivate func with(_ prekey: PublishedPrekey?) -> User {
        var user = self
        user.prekey = prekey
        return user
    }
}
