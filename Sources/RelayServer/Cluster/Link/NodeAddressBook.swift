// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Where a node can be dialled, and which start of it is to be found there.
struct NodeAddress: Hashable, Sendable {
    var host: String
    var port: Int
    var incarnation: Incarnation
}

/// Knows where other nodes are.
protocol NodeAddressBook: Sendable {
    /// Where `node` can be dialled; nil when nobody knows a live node of that id.
    func address(of node: NodeID) async -> NodeAddress?
}
