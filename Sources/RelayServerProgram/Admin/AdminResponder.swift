// SPDX-License-Identifier: Apache-2.0

import PrivateFiles
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// What operators ask of the server as a whole.
protocol ServerControl: Sendable {
    /// What the server is doing.
    func status() async -> ServerStatus
    /// What goes on, with at most `limit` transfers and sessions.
    func top(limit: Int) async -> ServerTop
    /// Begins to drain; harmless when that has begun. A server without transfers ends at once, so it is called when the
    /// reply is sent: one that comes first might never arrive.
    func drain()
    /// A user's name was freed: its sessions end.
    func nameRemoved(_ name: PeerName)
    /// Reads the configuration and its files again.
    func reload() throws(OperatorError) -> ReloadOutcome
    /// Starts a process that takes this one's place, and waits until it has.
    /// - Returns: the new process's id.
    func restart() async throws(OperatorError) -> Int32
    /// The reply to the restart is sent.
    func restartAnswered()
}

/// Answers what sub-commands ask.
struct AdminResponder: Sendable {
    let users: any UserAdministration
    /// The server as a whole.
    let server: any ServerControl
    /// The sessions, transfers and limits of the node; nil where there are none.
    let node: NodeOperations?
    /// The other nodes; nil when there are none.
    let others: OtherNodes?
    /// Where it is written down what operators do; nil where nothing is.
    let audit: AuditLog?
    private let restores = RestoreStaging()

    init(
        users: any UserAdministration, server: any ServerControl, node: NodeOperations?, others: OtherNodes?,
        audit: AuditLog?
    ) {
        (self.users, self.server, self.node, self.others, self.audit) = (users, server, node, others, audit)
    }

    /// The reply to `request`; what goes wrong is a reply too.
    func reply(to request: AdminRequest, by peer: AdminPeer = .unknown) async -> AdminReply {
        let reply: AdminReply
        do {
            reply = try await answer(request)
        } catch let error as OperatorError {
            reply = .failed(message: error.message, exit: error.status.rawValue)
        } catch let error as UserRegistry.Full {
            reply = .failed(message: "the users' registry is full (\(error))", exit: ExitStatus.refused.rawValue)
        } catch let error as ClusterUnavailable {
            reply = .failed(
                message: "the users' registry is in Redis, which does not answer: \(error)",
                exit: ExitStatus.unavailable.rawValue)
        } catch let error as SystemError {
            reply = .failed(
                message: "the users' registry cannot be written: \(error)", exit: ExitStatus.inputOutput.rawValue)
        } catch {
            reply = .failed(message: "the server could not do it: \(error)", exit: ExitStatus.inputOutput.rawValue)
        }
        if let deed = request.deed { audit?.note(deed, by: peer, reply) }
        return reply
    }

    private func answer(_ request: AdminRequest) async throws -> AdminReply {
        switch request {
        case .status: return .status(status: await server.status())
        case .top(let limit):
            return .top(top: await server.top(limit: min(max(limit, 0), Defaults.Admin.mostInTop)))
        case .invite(let name, let lifetime, let note):
            if let note, note.utf8.count > Defaults.Limits.noteBytes {
                throw OperatorError(.usage, "a note has \(Defaults.Limits.noteBytes) bytes at most")
            }
            let invitation = try await users.invite(name, lifetime: lifetime, note: note)
            return .invited(code: invitation.code, expires: invitation.expires)
        case .withdraw(let code):
            try await users.withdraw(code)
            return .withdrawn
        case .users(let after):
            let page = try await users.users(after: after, limit: Defaults.Admin.usersPerPage)
            // Prekeys are of no use to an operator, and a page of them would be a large one.
            let accounts = try await users.accounts(of: page.users.map(\.name))
            return .users(users: page.users.map { AccountRecord($0, accounts[$0.name]) }, isLast: page.isLast)
        case .user, .limit, .rename, .disable, .enable, .remove: return try await answerAboutUser(request)
        case .nodes:
            let (nodes, isWhole) = await others?.known() ?? ([], true)
            return .nodes(own: try thisNode.broker.node, others: nodes, isWhole: isWhole)
        case .sessions, .close, .transfers, .cancel: return try await answerAboutNodes(request)
        case .invitations(let after):
            let all = try await users.invitations().sorted { $0.digest.rawValue < $1.digest.rawValue }
            let rest = all.drop { $0.digest.rawValue <= after?.rawValue ?? "" }
            let page = rest.prefix(Defaults.Admin.usersPerPage)
            return .invitations(invitations: Array(page), isLast: page.count == rest.count)
        case .restore(let part): return try await restore(part)
        case .reload: return .reloaded(outcome: try server.reload())
        case .restart:
            let transfers = await server.status().transfers
            return .restarted(process: try await server.restart(), transfers: transfers)
        case .drain:
            return .draining(transfers: await server.status().transfers, seconds: Defaults.Operations.drainTimeout)
        }
    }

    // MARK: - Users

    private func answerAboutUser(_ request: AdminRequest) async throws -> AdminReply {
        switch request {
        case .user(let name): return .user(user: try await details(of: name))
        case .limit(let name, let changes):
            var limits: [(LimitName, Int64?)] = []
            for change in changes {
                guard let limit = LimitName(rawValue: change.limit),
                    change.value.map({ $0 == 0 || limit.range.contains($0) }) ?? true
                else { throw OperatorError(.usage, "\(change.limit) is not a limit, or has no such value") }
                limits.append((limit, change.value))
            }
            try await changeAccount(of: name) { [limits] account in
                for (limit, value) in limits { account.limits[limit] = value }
            }
            return .user(user: try await details(of: name))
        case .disable(let name):
            let now = UnixTime(seconds: Int64(LogTime.now.seconds))
            try await changeAccount(of: name) { $0.disabled = $0.disabled ?? now }
            return .disabled(name: name)
        case .enable(let name):
            try await changeAccount(of: name) { $0.disabled = nil }
            return .enabled(name: name)
        case .rename(let old, let new):
            switch try await users.rename(old, to: new) {
            case .renamed: break
            case .unknown: throw Self.unknown(old)
            case .taken:
                throw OperatorError(.refused, "\(new) is another user: choose another name, or remove it first")
            }
            let account = try await users.account(of: new)
            node?.accountChanged(new, account)
            node?.accountChanged(old, UserAccount())
            server.nameRemoved(old)
            return .renamed(name: new)
        case .remove(let name):
            let isFreed = try await users.remove(name)
            node?.accountChanged(name, UserAccount())
            // Also when no user had it: the registry of a cluster may have lost a user that is here.
            server.nameRemoved(name)
            guard isFreed else { throw Self.unknown(name) }
            return .removed(name: name)
        default: throw AdminClient.unexpected
        }
    }

    private func changeAccount(
        of name: PeerName, _ change: @escaping @Sendable (inout UserAccount) -> Void
    ) async throws {
        guard let account = try await users.changeAccount(of: name, change) else { throw Self.unknown(name) }
        node?.accountChanged(name, account)
    }

    private func details(of name: PeerName) async throws -> UserDetails {
        let node = try thisNode
        guard let user = try await users.user(named: name) else { throw Self.unknown(name) }
        return node.details(of: user, try await users.account(of: name))
    }

    private static func unknown(_ name: PeerName) -> OperatorError {
        OperatorError(.refused, "no user has registered \(name)")
    }

    // MARK: - This node

    private var thisNode: NodeOperations {
        get throws(OperatorError) {
            guard let node else { throw OperatorError(.unavailable, "the server is not ready: try again in a moment") }
            return node
        }
    }

    /// The answer to what an operator asks at another node; nil when that is nothing that one node asks another. It is
    /// about this node alone, so that no question goes on and on.
    func answer(inquiry: String, of peer: NodeID) async -> String? {
        guard let request = StrictJSON.decode(AdminRequest.self, from: Array(inquiry.utf8)) else { return nil }
        switch request {
        case .sessions(_, nil), .transfers(_, nil), .close, .cancel: break
        default: return nil
        }
        let reply: AdminReply
        do {
            reply = try await answerAboutThisNode(request)
            if let deed = request.deed { audit?.note(deed, by: AdminPeer(node: peer), reply) }
        } catch {
            let error = error as? OperatorError ?? AdminClient.unexpected
            reply = .failed(message: error.message, exit: error.status.rawValue)
        }
        return try? StrictJSON.encode(reply)
    }

    /// Asks the node that it is about, or all where that cannot be known.
    private func answerAboutNodes(_ request: AdminRequest) async throws -> AdminReply {
        let own = try thisNode.broker.node
        guard let others else { return try await answerAboutThisNode(request) }
        switch request {
        case .sessions(let number, let node?) where node != own:
            return await others.list(node, .sessions(after: number))
        case .transfers(let transfer, let node?) where node != own:
            return await others.list(node, .transfers(after: transfer))
        case .close(let label):
            guard let session = SessionID(label: label), session.node != own else {
                return try await answerAboutThisNode(request)
            }
            let (nodes, isWhole) = await others.known()
            guard nodes.contains(session.node) || !isWhole else { return try await answerAboutThisNode(request) }
            return await others.ask(session.node, request)
        case .cancel:
            do {
                return try await answerAboutThisNode(request)
            } catch let refusal as OperatorError where refusal.status == .refused {
                return await others.askAll(request).outcome(elseRefusal: refusal)
            }
        default: return try await answerAboutThisNode(request)
        }
    }

    private func answerAboutThisNode(_ request: AdminRequest) async throws -> AdminReply {
        let node = try thisNode
        let count = Defaults.Admin.usersPerPage
        switch request {
        case .sessions(let number, _):
            let page = node.broker.sessions(after: number, atMost: count)
            return .sessions(sessions: page, isLast: page.count < count)
        case .close(let session):
            guard node.broker.closeSession(session) else {
                throw OperatorError(
                    .refused, "there is no session \(session): `relay-server sessions list` shows those that there are")
            }
            return .closed(session: session)
        case .transfers(let transfer, _):
            let page = await node.transfers(after: transfer, atMost: count)
            return .transfers(transfers: page, isLast: page.count < count)
        case .cancel(let transfer):
            guard node.broker.stopTransfer(transfer) else {
                throw OperatorError(
                    .refused,
                    "there is no transfer \(transfer): `relay-server transfers list` shows those that there are")
            }
            return .cancelled(transfer: transfer)
        default: throw AdminClient.unexpected
        }
    }

    // MARK: - Copies

    private func restore(_ part: RestorePart) async throws -> AdminReply {
        guard let copy = await restores.take(part) else { return .restored(users: nil) }
        let counts = await users.counts()
        guard part.replaces || counts.users == 0 else { throw Self.notEmpty(counts.users) }
        try await users.restore(copy, isWhole: true)
        // Who is here and is another one now, or none, has to go.
        for name in node?.broker.names ?? [] {
            guard let user = try await users.user(named: name) else {
                server.nameRemoved(name)
                continue
            }
            node?.broker.nameOwned(name, by: user.key)
            node?.accountChanged(name, try await users.account(of: name))
        }
        return .restored(users: copy.users.count)
    }

    /// Why a copy is not put over what there is.
    static func notEmpty(_ users: Int) -> OperatorError {
        OperatorError(
            .refused,
            "the registry has \(users == 1 ? "a user" : "\(users) users"): --replace puts the copy in its place")
    }
}
