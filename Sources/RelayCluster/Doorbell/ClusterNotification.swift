// SPDX-License-Identifier: Apache-2.0

import TransferBroker
package import WSProtocol

/// What a node is told to look at again. A bell is a hint: it may be lost, repeated or forged.
package enum ClusterNotification: Hashable, Sendable {
    /// Sessions of a name have begun to receive.
    case receiving(PeerName)
    /// The epoch is new: everything has to be written again.
    case announce
    /// A node came, is about to leave, or has written everything in an epoch.
    case nodes
    /// A name was removed or its keys changed.
    case user(PeerName)
    /// Ticket keys were rotated.
    case tickets
}

/// A message on a node's channel.
enum DoorbellMessage: Hashable, Sendable {
    case bell(id: RequestID, from: NodeID, ClusterNotification)
    /// The bell `id` was heard by `from`.
    case answer(id: RequestID, from: NodeID)
}
