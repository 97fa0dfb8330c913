// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What to do after an event of the ``Exchange``, in this order.
enum ExchangeAction: Hashable, Sendable {
    /// Send this to a session of this node.
    case send(SessionID, ServerMessage)
    /// Close the connection of a session of this node.
    case close(SessionID, WebSocketCloseCode)
    /// Tell another node.
    case tell(NodeID, NodeMessage)
    /// Cut the halves of a stream that this node holds.
    case abortStream(StreamKey, FailureCode)
    /// Cut everything this node holds of transfers whose home was lost.
    case abortStreams(ofHome: NodeID, FailureCode)
    /// Let the other nodes know what there is here.
    case announce(Announcement)
    /// A transfer is over; for the log and the metrics.
    case transferEnded(TransferID, TransferOutcome)
}

/// Something of this node that other nodes have to find.
enum Announcement: Hashable, Sendable {
    /// The sessions of `name`, by their numbers, that want to be rung here; none: nobody any more.
    case receiving(PeerName, sessions: Set<UInt64>)
    /// Whether there are offers to `name` here that can still ring.
    case waiting(PeerName, Bool)
    /// This node is the home of a transfer, or no longer.
    case home(TransferID, Bool)
    /// An unused token is void.
    case void(TokenDigest)
}
