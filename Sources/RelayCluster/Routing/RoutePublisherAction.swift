// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What an announcement that came through asks for.
enum RoutePublisherAction: Hashable, Sendable {
    /// A `receiving` route stands: its name's homes have to be rung.
    case notifyHomes(PeerName)
    /// A `waiting` route stands: its name's receivers have to be looked for.
    case findReceivers(PeerName)
    /// A token's route stands.
    case published(TokenDigest)
    /// The node has its place in Redis, in this epoch; `others` have not said yet what they have there.
    case joined(Epoch, others: Int = 0)
    /// Redis was emptied or put back.
    case emptied
    /// Redis may have lost users: those that were seen have to be handed to ``RoutePublisher/restore(_:)``.
    case restoreUsers
    /// This node made the new epoch: the others have to be told.
    case announceEpoch
    /// The presence says that everything has been written in the epoch: nodes that wait for that have to be told.
    case everythingWritten
    /// Another process has this node's id. `isRenewed` says that it was seen to be alive.
    case taken(NodePresence?, isRenewed: Bool)
    /// The presence is taken away, and all routes with it.
    case left
}
