// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Where a node can be dialled, and which start of it is said to be there. A hint: only its certificate and its answer
/// prove it.
struct NodeAddress: Hashable, Sendable {
    /// A host name or an IP address.
    var host: String
    var port: Int
    var incarnation: Incarnation
}

/// Knows where nodes can be dialled.
protocol NodeAddressBook: Sendable {
    /// The address of a node that is said to be alive; nil when no such node is known. It may take its time: links have
    /// a deadline of their own.
    func address(of node: NodeID) async -> NodeAddress?
}
