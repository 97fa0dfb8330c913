// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import NIOCore
import RedisTransport
package import RelayNode
import ServerSystem
import Synchronization
import TransferBroker
package import WSProtocol

// MARK: - What operators have laid down about users

extension RedisUserDirectory {
    /// The account of `name`; the last one seen when Redis does not say.
    package func account(of name: PeerName) async throws -> UserAccount {
        do {
            return try await readAccounts([name]).get()[name] ?? UserAccount()
        } catch let error as ClusterUnavailable where error.cause == nil {
            return state.withLock { $0.accounts[name] } ?? UserAccount()
        }
    }

    package func accounts(of names: [PeerName]) async throws -> [PeerName: UserAccount] {
        guard !names.isEmpty else { return [:] }
        let reply = try await ask(UserScripts.texts, names.map(ClusterKeys.account), [])
        return accounts(names, reply)
    }

    /// Reads what is laid down about `names`. What Redis has lost of it is written again.
    func readAccounts(_ names: [PeerName]) -> EventLoopFuture<[PeerName: UserAccount]> {
        guard !names.isEmpty else { return store.eventLoop.makeSucceededFuture([:]) }
        return store.run(UserScripts.texts, keys: names.map(ClusterKeys.account)).map { reply in
            let found = self.accounts(names, reply)
            let lost = self.state.withLock { state -> [PeerName: UserAccount] in
                var lost: [PeerName: UserAccount] = [:]
                for name in names {
                    if let account = found[name] {
                        state.accounts[name] = account
                    } else if let account = state.accounts[name], state.cache[name] != nil {
                        lost[name] = account
                    }
                }
                return lost
            }
            for (name, account) in lost { self.keep(account, of: name) }
            return found.merging(lost) { $1 }
        }
    }

    /// The accounts in a reply; what no node has written counts for nothing.
    private func accounts(_ names: [PeerName], _ reply: RESPValue) -> [PeerName: UserAccount] {
        var found: [PeerName: UserAccount] = [:]
        for (name, element) in zip(names, reply.elements ?? []) {
            if let text = element.text, !text.isEmpty { found[name] = records.account(of: name, text) }
        }
        return found
    }

    private func keep(_ account: UserAccount, of name: PeerName) {
        _ = store.run(
            UserScripts.keepAccount, keys: [ClusterKeys.account(name)], arguments: [records.account(account, of: name)])
    }

    /// Writes those of `accounts` whose users Redis has got from this node just now.
    func keep(_ accounts: [PeerName: UserAccount], of names: Set<PeerName>) {
        for name in names { if let account = accounts[name] { keep(account, of: name) } }
    }

    /// What stands as an invitation, and its note; nil when no node has made it, or for another than `name`.
    func invitation(_ digest: InvitationDigest?, for name: PeerName) async throws -> (text: String, note: String?)? {
        guard let digest else { return nil }
        let keys = [ClusterKeys.invitation(digest), ClusterKeys.note(digest)]
        let texts = try await store.run(UserScripts.texts, keys: keys).get().elements?.map { $0.text ?? "" }
        guard let texts, texts.count == 2 else { throw ClusterUnavailable.nonsense }
        guard [nil, name].contains(where: { records.isInvitation(texts[0], digest, for: $0) }) else { return nil }
        return (texts[0], records.note(about: digest, texts[1]))
    }

    /// `name` is no user's any more, or not this one's.
    func forget(_ name: PeerName) {
        state.withLock { state in
            state.cache[name] = nil
            state.accounts[name] = nil
        }
    }

    package func changeAccount(
        of name: PeerName, _ change: @escaping @Sendable (inout UserAccount) -> Void
    ) async throws -> UserAccount? {
        for _ in 0..<Defaults.Routing.changesOfUser {
            let text = try await text(of: name)
            var account = records.account(of: name, text) ?? UserAccount()
            change(&account)
            let reply = try await ask(
                UserScripts.account, [ClusterKeys.user(name), ClusterKeys.account(name)],
                [text, records.account(account, of: name)]
            )
            switch reply.text {
            case "done":
                state.withLock { [account] in $0.accounts[name] = account }
                changed(name)
                return account
            case "unknown": return nil
            case "moved": continue
            default: throw Self.nonsense
            }
        }
        throw Self.nonsense
    }

    private func text(of name: PeerName) async throws -> String {
        try await ask(UserScripts.texts, [ClusterKeys.account(name)], []).elements?.first?.text ?? ""
    }

    package func rename(_ old: PeerName, to new: PeerName) async throws -> RenameOutcome {
        for _ in 0..<Defaults.Routing.changesOfUser {
            let standings: [UserStanding]
            do {
                standings = [try await standing(old), try await standing(new)]
            } catch {
                throw OperatorError(.unavailable, "the users' registry is in Redis, which does not answer: \(error)")
            }
            guard case .owned(let user) = standings[0].finding else { return .unknown }
            // Also one that Redis had lost, and has been given again.
            guard standings[1].record == "", state.withLock({ $0.cache[new] == nil }) else { return .taken }
            let renamed = User(name: new, key: user.key)
            let text = try await text(of: old)
            let account = records.account(of: old, text) ?? UserAccount()
            let names = [old, new].flatMap { [ClusterKeys.user($0), ClusterKeys.removed($0), ClusterKeys.account($0)] }
            let reply = try await ask(
                UserScripts.rename, names + [ClusterKeys.users],
                [
                    standings[0].record, records.text(of: renamed), text, records.account(account, of: new),
                    old.rawValue,
                    records.removal(of: old), new.rawValue,
                ]
            )
            switch reply.text {
            case "renamed":
                forget(old)
                state.withLock { state in
                    state.cache[new] = renamed
                    state.accounts[new] = account
                }
                changed(old)
                changed(new)
                return .renamed
            case "taken": return .taken
            case "moved": continue
            default: throw Self.nonsense
            }
        }
        throw Self.nonsense
    }

    // MARK: - Copies

    package func invitations() async throws -> [Invitation] {
        let reply = try await ask(
            UserScripts.invitations, [ClusterKeys.invitations], ["\(Defaults.Users.maximumInvitations)"])
        guard let parts = reply.elements, parts.count.isMultiple(of: 2) else { throw Self.nonsense }
        var found: [Invitation] = []
        for index in stride(from: 0, to: parts.count, by: 2) {
            guard let digest = parts[index].text.flatMap(InvitationDigest.init(rawValue:)),
                let milliseconds = parts[index + 1].text.flatMap({ Int64($0) })
            else { continue }
            let texts = try await ask(
                UserScripts.texts, [ClusterKeys.invitation(digest), ClusterKeys.note(digest)], []
            ).elements?.map { $0.text ?? "" }
            guard let texts, texts.count == 2, let space = texts[0].firstIndex(of: " ") else { continue }
            let name = PeerName(rawValue: String(texts[0][..<space]))
            // What no node has written is no invitation.
            guard records.isInvitation(texts[0], digest, for: name) else { continue }
            found.append(
                Invitation(
                    digest: digest, name: name, expires: UnixTime(seconds: milliseconds / 1000),
                    note: records.note(about: digest, texts[1])))
        }
        return found
    }

    /// `time` as Redis takes it, and gives it back: a score is a double. What stands in a file may be any number.
    static func milliseconds(of time: UnixTime) -> Int64 {
        let most: Int64 = 1 << 53
        return min(max(time.seconds, 1), most / 1000) * 1000
    }

    package func restore(_ copy: RegistryCopy, isWhole: Bool) async throws {
        for record in copy.users {
            let name = record.name
            _ = try await ask(
                UserScripts.put,
                [ClusterKeys.user(name), ClusterKeys.users, ClusterKeys.removed(name), ClusterKeys.account(name)],
                [
                    name.rawValue, records.text(of: record.user),
                    // Also where nothing is laid down: a node that remembers something else would write that again if
                    // there were no record.
                    records.account(record.account ?? UserAccount(), of: name),
                ]
            )
            forget(name)
            changed(name)
        }
        for invitation in copy.invitations {
            do {
                _ = try await put(invitation).get()
            } catch {
                throw OperatorError(.unavailable, "the users' registry is in Redis, which does not answer: \(error)")
            }
        }
        guard isWhole else { return }
        let kept = Set(copy.users.map(\.name))
        var after: PeerName?
        while true {
            let page = try await users(after: after, limit: Defaults.Routing.usersPerBatch)
            for user in page.users where !kept.contains(user.name) { _ = try await remove(user.name) }
            after = page.users.last?.name
            if page.isLast || after == nil { return }
        }
    }
}

extension UnixTime {
    /// The calendar's time.
    static var now: UnixTime { UnixTime(seconds: Int64(Date().timeIntervalSince1970)) }
}

// MARK: - Bytes of a day

extension RedisUserDirectory: TrafficStore {
    package func load(day: Int64) -> [PeerName: UInt64] { [:] }

    /// All of them are on their way at once: a Redis that does not answer is waited for once, as for any command.
    package func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64] {
        let all = moved.map { ($0.key, $0.value) }
        let size = Defaults.Routing.keysPerBatch
        let batches = stride(from: 0, to: all.count, by: size).map { all[$0..<min($0 + size, all.count)] }
        let replies = batches.map { batch in
            store.run(
                UserScripts.traffic, keys: batch.map { ClusterKeys.traffic($0.0, day: day) },
                arguments: ["\(Defaults.Routing.trafficLife)"] + batch.map { "\($0.1)" })
        }
        var sums: [PeerName: UInt64] = [:]
        for (batch, reply) in zip(batches, replies) {
            guard let found = try? await reply.get().elements, found.count == batch.count else { continue }
            for ((name, _), sum) in zip(batch, found) { sums[name] = sum.number.map { UInt64(clamping: $0) } }
        }
        return sums
    }

    package func sum(of name: PeerName, day: Int64) async -> UInt64? {
        let reply = try? await store.run(UserScripts.texts, keys: [ClusterKeys.traffic(name, day: day)]).get()
        return reply?.elements?.first?.text.flatMap { UInt64($0) }
    }
}
