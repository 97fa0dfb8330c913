// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// Answers what sub-commands ask.
struct AdminResponder: Sendable {
    let users: any UserAdministration
    /// What the server is doing.
    let status: @Sendable () async -> ServerStatus
    /// Begins to drain; harmless when that has begun. A server without transfers ends at once, so it is called when the
    /// reply is sent: one that comes first might never arrive.
    let drain: @Sendable () -> Void
    /// A user's name was freed: its sessions end.
    let nameRemoved: @Sendable (PeerName) -> Void
    /// Reads the configuration and its files again.
    var reload: @Sendable () async throws(OperatorError) -> ReloadOutcome = { () throws(OperatorError) in
        throw OperatorError(.refused, "this server does not reload")
    }
    /// Starts a process that takes this one's place, and waits until it has; and what is done once that is answered.
    var restart: @Sendable () async throws(OperatorError) -> Int32 = { () throws(OperatorError) in
        throw OperatorError(.refused, "this server does not restart")
    }
    var restartAnswered: @Sendable () -> Void = {}

    /// The reply to `request`; what goes wrong is a reply too.
    func reply(to request: AdminRequest) async -> AdminReply {
        do {
            switch request {
            case .status:
                return .status(status: await status())
            case .invite(let name, let lifetime):
                let invitation = try await users.invite(name, lifetime: lifetime)
                return .invited(code: invitation.code, expires: invitation.expires)
            case .withdraw(let code):
                try await users.withdraw(code)
                return .withdrawn
            case .users(let after):
                let page = try await users.users(after: after, limit: Defaults.Admin.usersPerPage)
                // Prekeys are of no use to an operator, and a page of them would be a large one.
                let users = page.users.map { User(name: $0.name, key: $0.key, exchangeKey: $0.exchangeKey) }
                return .users(users: users, isLast: page.isLast)
            case .remove(let name):
                let isFreed = try await users.remove(name)
                // Also when no user had it: the registry of a cluster may have lost a user that is here.
                nameRemoved(name)
                guard isFreed else { throw OperatorError(.refused, "no user has registered \(name)") }
                return .removed(name: name)
            case .reload:
                return .reloaded(outcome: try await reload())
            case .restart:
                let transfers = await status().transfers
                return .restarted(process: try await restart(), transfers: transfers)
            case .drain:
                return .draining(transfers: await status().transfers, seconds: Defaults.Operations.drainTimeout)
            }
        } catch let error as OperatorError {
            return .failed(message: error.message, exit: error.status.rawValue)
        } catch {
            return .failed(
                message: "the users' registry cannot be written: \(error)", exit: ExitStatus.inputOutput.rawValue)
        }
    }
}
