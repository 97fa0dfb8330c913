// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// A node's process: its id and which start of it.
struct NodeInstance: Hashable, Sendable {
    var node: NodeID
    var incarnation: Incarnation
}
