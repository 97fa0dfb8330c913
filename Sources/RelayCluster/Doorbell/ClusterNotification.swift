// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What a node is told to read again. A notification is a hint: it may be lost, repeated or forged.
enum ClusterNotification: Hashable, Sendable {
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
    case notification(id: RequestID, from: NodeID, ClusterNotification)
    /// The notification `id` was heard by `from`.
    case answer(id: RequestID, from: NodeID)
}
