// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What to do after an event of the ``Broker``, in this order.
package enum BrokerAction: Hashable, Sendable {
    /// Send this to a session of this node.
    case send(SessionID, ServerMessage)
    /// Close the connection of a session of this node.
    case close(SessionID, WebSocketCloseCode)
    /// Tell another node.
    case tell(NodeID, NodeMessage)
    /// Make a token, let the other nodes know of it, and bring it by ``BrokerEvent/tokenMinted(_:for:)``.
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
