// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Glibc
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// Asks the running server, on behalf of a sub-command.
struct AdminClient: Sendable {
    let stateDirectory: String

    /// Sends `request` and waits for the reply.
    /// - Throws: ``OperatorError``: the server does not run, does not answer in time, or said no.
    func ask(_ request: AdminRequest) async throws(OperatorError) -> AdminReply {
        let path = try AdminSocket.path(in: stateDirectory)
        let channel: any Channel
        let answer = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: ByteBuffer.self)
        do {
            channel = try await ClientBootstrap(group: answer.futureResult.eventLoop)
                .connectTimeout(.seconds(Defaults.Admin.exchangeTimeout))
                .channelInitializer { channel in
                    CloseOnExec.mark(channel)
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AdminReplyHandler(answer))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
        } catch {
            answer.fail(error)
            throw connectFailure(error, path)
        }
        let reply: AdminReply?
        do {
            try await channel.writeAndFlush(AdminLine.encode(request)).get()
            reply = AdminLine.decode(AdminReply.self, try await answer.futureResult.get())
        } catch {
            channel.close(promise: nil)
            throw OperatorError(.unavailable, "the relay-server on \(path) did not answer: is it stopping?")
        }
        switch reply {
        case nil:
            throw OperatorError(
                .protocolError, "the relay-server on \(path) gave an answer of another version: restart it"
            )
        case .failed(let message, let exit):
            throw OperatorError(ExitStatus(rawValue: exit) ?? .refused, message)
        case .some(let reply):
            return reply
        }
    }

    /// Whether no server is there to be asked. One that says no, or does not answer, is there.
    var isAbsent: Bool {
        get throws(OperatorError) {
            switch AdminSocket.occupant(of: try AdminSocket.path(in: stateDirectory)) {
            case .nothing, .stale: true
            case .live, .foreign: false
            }
        }
    }

    /// All users, page by page.
    func users() async throws(OperatorError) -> [AccountRecord] {
        var users: [AccountRecord] = []
        while true {
            let reply = try await ask(.users(after: users.last?.name))
            guard case .users(let page, let isLast) = reply else { throw Self.unexpected }
            users += page
            if isLast || page.isEmpty { return users }
        }
    }

    /// Calls `each` with all sessions, page by page and node by node; returns which nodes were not heard.
    func sessions(_ each: (SessionEntry) throws -> Void) async throws -> NodeSurvey {
        try await onEachNode { node in
            var last: UInt64 = 0
            while true {
                let reply = try await ask(.sessions(after: last, node: node))
                guard case .sessions(let page, let isLast) = reply else { return reply }
                for session in page { try each(session) }
                last = page.last?.number ?? 0
                if isLast || page.isEmpty { return reply }
            }
        }
    }

    /// Calls `each` with all transfers, page by page and node by node; returns which nodes were not heard.
    func transfers(_ each: (TransferEntry) throws -> Void) async throws -> NodeSurvey {
        try await onEachNode { node in
            var last: TransferID?
            while true {
                let reply = try await ask(.transfers(after: last, node: node))
                guard case .transfers(let page, let isLast) = reply else { return reply }
                for transfer in page { try each(transfer) }
                last = page.last?.id
                if isLast || page.isEmpty { return reply }
            }
        }
    }

    /// Asks each node by way of the one whose client this is, one after the other; `body` returns its last answer.
    private func onEachNode(_ body: (NodeID) async throws -> AdminReply) async throws -> NodeSurvey {
        guard case .nodes(let own, let others, let isWhole) = try await ask(.nodes) else { throw Self.unexpected }
        var survey = NodeSurvey(isWhole: isWhole)
        for node in [own] + others {
            let reply = try await body(node)
            survey.note(node, reply)
            switch reply {
            case .sessions, .transfers, .unanswered: continue
            default: throw Self.unexpected
            }
        }
        return survey
    }

    /// All invitations, page by page.
    func invitations() async throws(OperatorError) -> [Invitation] {
        var invitations: [Invitation] = []
        while true {
            let reply = try await ask(.invitations(after: invitations.last?.digest))
            guard case .invitations(let page, let isLast) = reply else { throw Self.unexpected }
            invitations += page
            if isLast || page.isEmpty { return invitations }
        }
    }

    /// The server answered something else than what was asked.
    static var unexpected: OperatorError {
        OperatorError(.protocolError, "the running relay-server answered something else than was asked: restart it")
    }

    private func connectFailure(_ error: any Error, _ path: String) -> OperatorError {
        if let error = error as? IOError, error.errnoCode == EACCES {
            return OperatorError(.refused, "not allowed to use \(path): run this as the user the relay-server runs as")
        }
        return OperatorError(
            .unavailable,
            "no relay-server runs with the state directory \(stateDirectory): start it, or set --state-dir"
        )
    }
}
