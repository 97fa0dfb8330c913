// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// The other nodes of the cluster, as an operator's command asks them by way of this one.
struct OtherNodes: Sendable {
    /// The nodes that are known, and whether these are all.
    var known: @Sendable () async -> (nodes: [NodeID], isWhole: Bool)
    /// One request to a node, and its answer, both as lines of JSON. Throws when there is none in time.
    var send: @Sendable (NodeID, String) async throws -> String

    /// Asks `node`; one that does not answer, or not in this program's words, is a reply too.
    func ask(_ node: NodeID, _ request: AdminRequest) async -> AdminReply {
        do {
            let answer = try await send(node, try StrictJSON.encode(request))
            guard let reply = StrictJSON.decode(AdminReply.self, from: Array(answer.utf8)) else {
                return .unanswered(node: node, reason: "it runs another version")
            }
            return reply
        } catch {
            return .unanswered(node: node, reason: "\(error)")
        }
    }

    /// Asks `node` for a page of what it has: one that refuses is named as one that does not answer, as the others are
    /// shown all the same.
    func list(_ node: NodeID, _ request: AdminRequest) async -> AdminReply {
        let reply = await ask(node, request)
        guard case .failed(let message, _) = reply else { return reply }
        return .unanswered(node: node, reason: message)
    }

    /// Asks all of them at once.
    func askAll(_ request: AdminRequest) async -> NodeSurvey {
        let (nodes, isWhole) = await known()
        return await withTaskGroup(of: (NodeID, AdminReply).self) { group in
            for node in nodes { group.addTask { (node, await ask(node, request)) } }
            var survey = NodeSurvey(isWhole: isWhole)
            for await (node, reply) in group { survey.note(node, reply) }
            return survey
        }
    }
}

/// What the nodes of a cluster have said to one question. Pure.
struct NodeSurvey: Hashable, Sendable {
    /// What those that answered have said, refusals included.
    private(set) var replies: [NodeID: AdminReply] = [:]
    /// Nodes that did not answer, and why.
    private(set) var silent: [NodeID: String] = [:]
    /// Whether all nodes that there are were asked.
    var isWhole = true

    init(isWhole: Bool = true) { self.isWhole = isWhole }

    mutating func note(_ node: NodeID, _ reply: AdminReply) {
        if case .unanswered(_, let reason) = reply {
            silent[node] = reason
        } else {
            replies[node] = reply
        }
    }

    /// What was not heard, as one message for an operator; nil when all has been.
    ///
    /// - Parameter what: what is missing then, such as `its sessions are not shown`.
    func gap(_ what: String) -> String? {
        var parts = silent.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            "node \($0.key) does not answer (\($0.value)): \(what)"
        }
        if !isWhole { parts.append("Redis does not say which nodes there are: others may be missing") }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// What became of a command that one node at most can carry out, as the node that was asked first cannot.
    ///
    /// - Parameter refusal: what is said when every node has refused.
    func outcome(elseRefusal refusal: OperatorError) -> AdminReply {
        let done = replies.values.first { if case .failed = $0 { false } else { true } }
        if let done { return done }
        guard let gap = gap("it may be there") else {
            return .failed(message: refusal.message, exit: refusal.status.rawValue)
        }
        return .failed(message: "\(refusal.message); \(gap)", exit: ExitStatus.unavailable.rawValue)
    }
}
