// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// The other nodes of the cluster, as Redis has told last. They stay when Redis is away.
struct NodeTable: Sendable {
    /// A node that is not what it was.
    struct Gone: Hashable, Sendable {
        var node: NodeID
        var incarnation: Incarnation
    }

    /// This node, which is never in the table.
    let own: NodeID
    private(set) var nodes: [NodeID: NodePresence] = [:]

    init(own: NodeID) { self.own = own }

    /// Takes over what Redis says now.
    /// - Parameter isSettled: whether a node that is missing there is missing: in a Redis that was just emptied it is not.
    /// - Returns: the processes that were there and are not any more.
    mutating func update(_ read: [NodeID: NodePresence], isSettled: Bool) -> [Gone] {
        var gone: [Gone] = []
        for (node, presence) in nodes {
            let now = read[node]
            if now == nil, !isSettled { continue }
            if now?.incarnation != presence.incarnation {
                gone.append(Gone(node: node, incarnation: presence.incarnation))
            }
            nodes[node] = now
        }
        for (node, presence) in read where node != own && nodes[node] == nil { nodes[node] = presence }
        return gone.sorted { $0.node.rawValue < $1.node.rawValue }
    }
}
