// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Knows where nodes can be dialled.
protocol NodeAddressBook: Sendable {
    /// The address of a node that is said to be alive; nil when no such node is known. It may take its time: links have
    /// a deadline of their own.
    func address(of node: NodeID) async -> NodeAddress?
}
