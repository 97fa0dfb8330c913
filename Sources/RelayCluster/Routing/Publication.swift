// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// What the publisher wants Redis to be told next, in one call.
enum Publication: Hashable, Sendable {
    /// Take or renew the presence; `replacing` is what stood there and may be replaced.
    case presence(replacing: String?)
    case routes([RouteWrite])
    /// Users that an emptied Redis may have lost.
    case users([User])
    /// Take the presence away.
    case leave
}

/// One route to be written, or to be withdrawn.
struct RouteWrite: Hashable, Sendable {
    var route: ClusterRoute
    /// What to write; nil to withdraw it.
    var value: String?
    /// How long it is to live.
    var life: TimeAmount
}

/// What became of an ``Publication/presence(replacing:)``.
enum PresenceOutcome: Hashable, Sendable {
    /// It is this process's. `isNew` says that the epoch was made just now, although `others` were listening.
    case held(Epoch, isNew: Bool, others: Int = 0)
    /// Another process has the node's id: what it says, if that can be read, and for how long it still counts.
    case taken(String, remaining: TimeAmount)
}

/// What an announcement that came through asks for.
enum RoutePublisherAction: Hashable, Sendable {
    /// A `receiving` route stands: its name's homes have to be notified.
    case notifyHomes(PeerName)
    /// A `waiting` route stands: its name's receivers have to be looked up.
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
