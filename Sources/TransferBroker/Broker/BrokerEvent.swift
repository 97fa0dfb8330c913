// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Everything that can happen to the ``Broker``, but for claims, which need an answer.
package enum BrokerEvent: Hashable, Sendable {
    /// The login of a session holds; the request is to be answered. With the address whose limits it shares.
    case sessionOpened(SessionID, User, RequestID, at: String? = nil)
    /// An open session, of this node or of another, asks for something; `found` is there for `lookup`, `offer` and
    /// `request`.
    case requestReceived(ClientMessage, from: SessionID, found: LookupResult? = nil)
    /// The connection is gone, whether it was ever open or not.
    case sessionClosed(SessionID)
    /// The byte path of a node reports about a transfer of this home. `publicURL` is the node's own address for
    /// clients, such as `https://n2.example.org`, if it has one and holds the download.
    case streamChanged(TransferID, StreamEvent, on: NodeID, publicURL: PublicURL? = nil)
    /// The token that ``BrokerAction/mint(_:)`` asked for: random, and seen by no client yet. `isAnnounced` is false
    /// when the other nodes could not be told of it.
    case tokenMinted(Token, for: TokenRequest, isAnnounced: Bool = true)
    /// Deadlines may have passed.
    case timerFired
    /// From now on new offers and accepts are refused; what has been accepted goes on.
    case drainBegun
    /// The sessions are told, one after the other, to go to another node, or to the process that follows this one.
    /// Those that are left once so much time has gone by are closed when nothing of them goes on.
    case moveBegun(within: TimeAmount, toSuccessor: Bool = false)
    /// Sessions of these names, which want to be rung, are about to come from the process whose place this one takes:
    /// the names count as there, for that long at most.
    case namesExpected([PeerName], within: TimeAmount)
    /// The process has little memory left, or enough again: new offers are refused meanwhile.
    case memoryChanged(isShort: Bool)
    /// The name belongs to no user any more, or only to that key: its other sessions have to go.
    case nameRemoved(PeerName, except: SigningKey? = nil)
    /// An operator has disabled the user of that name: its sessions have to go, and hear why.
    case nameDisabled(PeerName)
    /// An operator ends a session of this node.
    case sessionEnded(SessionID)
    /// An operator ends a transfer of this home.
    case transferStopped(TransferID)
    /// Each user, and each address, may hold that much from now on.
    case limitsChanged(user: Holding, address: Holding?)
    /// An operator lets that user hold so much; nil: as much as each.
    case allowanceChanged(PeerName, Holding?)
    /// Other nodes have sessions of that name that want to be rung.
    case receiversAppeared(PeerName, [SessionID])
    /// Another node said something.
    case messageReceived(NodeMessage, from: NodeID)
    /// Everything shared with that node's process is over.
    case nodeLost(NodeID)
}

/// What had to be found out for a `lookup`, an `offer` or a `request`.
package struct LookupResult: Hashable, Sendable {
    /// Nil when the name is not registered.
    package var user: User?
    /// The sessions of the name on other nodes.
    package var elsewhere: RemoteReceivers
    /// For a `request`: the other nodes with sessions of the name that share.
    package var sharers: RemoteSharers

    package init(user: User?, elsewhere: RemoteReceivers, sharers: RemoteSharers = .none) {
        self.user = user
        self.elsewhere = elsewhere
        self.sharers = sharers
    }

    /// The answer to `request`; `isHere` says whether a session of that user on this node wants to be rung.
    func answer(to request: ClientMessage.Lookup, isHere: Bool) -> ServerMessage {
        guard let user else { return .unknownPeer(request.id, request.name) }
        let isElsewhere: Bool
        switch elsewhere {
        case .known(let sessions): isElsewhere = !sessions.isEmpty
        case .unknown where isHere: isElsewhere = false
        case .unknown: return .refusal(request.id, .clusterUnavailable)
        }
        let peer = ServerMessage.Peer(
            id: request.id, name: user.name, key: user.key,
            online: isHere || isElsewhere,
            prekey: user.prekey
        )
        return .peer(peer)
    }
}

extension ServerMessage {
    /// The refusal of a request about a name that is not registered.
    static func unknownPeer(_ request: RequestID, _ name: PeerName) -> ServerMessage {
        .refusal(request, .unknownPeer, "no user here is called \"\(name)\"")
    }
}

/// What there is of a name on other nodes.
package enum Elsewhere<Found: Hashable & Sendable>: Hashable, Sendable {
    case known([Found])
    /// The rest of the cluster cannot be asked.
    case unknown

    /// There are no other nodes, or nothing there.
    package static var none: Elsewhere { .known([]) }
}

/// The sessions of a name on other nodes that want to be rung.
package typealias RemoteReceivers = Elsewhere<SessionID>
/// The other nodes with sessions of a name that want to hear requests. Which sessions, each of them knows itself.
package typealias RemoteSharers = Elsewhere<NodeID>

/// What to do after an event of the ``Broker``, in this order.
package enum BrokerAction: Hashable, Sendable {
    /// Send this to a session of this node.
    case send(SessionID, ServerMessage)
    /// Close the connection of a session of this node.
    case close(SessionID, WebSocketCloseCode)
    /// Tell another node.
    case tell(NodeID, NodeMessage)
    /// Make a token, let the other nodes know of it, and bring it by ``BrokerEvent/tokenMinted(_:for:isAnnounced:)``.
    case mint(TokenRequest)
    /// End the halves of a stream that this node holds.
    case endStream(StreamKey, TransferOutcome)
    /// Cut everything this node holds of transfers whose home was lost.
    case abortStreams(ofHome: NodeID, FailureCode)
    /// Let the other nodes know what there is here.
    case announce(BrokerAnnouncement)
    /// A request was refused because of a limit; for the log and the metrics.
    case limitMet(Limit, Owner)
    /// A transfer is over; for the log and the metrics.
    case transferEnded(TransferID, TransferOutcome)
}

/// Something of this node that other nodes have to find.
package enum BrokerAnnouncement: Hashable, Sendable {
    /// The sessions of `name`, by their numbers, that want to be rung here; empty: none any more.
    case receiving(PeerName, sessions: Set<UInt64>)
    /// Whether there are sessions of `name` here that want to hear requests.
    case sharing(PeerName, Bool)
    /// Whether there are offers to `name` here that can still ring.
    case waiting(PeerName, Bool)
    /// This node is the home of a transfer, or no longer.
    case home(TransferID, Bool)
    /// A token has been used, or will never be.
    case void(TokenDigest)
}
