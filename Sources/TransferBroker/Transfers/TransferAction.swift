// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What to do after an event of a relayed transfer. The broker, which runs these, knows the transfer, its sender and
/// the id of its offer; messages to a receiver get an id of the relay's own.
enum TransferAction: Hashable, Sendable {
    /// Answer a request with `ok`.
    case answer(SessionID, RequestID)
    /// Answer a request with `error`; nothing has changed.
    case refuse(SessionID, RequestID, FailureCode)
    /// Tell the sender where its offer stands.
    case tellOffered(ServerMessage.Offered.State)
    /// Offer the transfer to this session.
    case ring(SessionID, Payload)
    /// Mint the receiver's token and answer its `accept` with it.
    case startDownload(SessionID, RequestID)
    /// Mint the sender's token and send it, with the payload of `accept`.
    case startUpload(Payload)
    /// Tell the sender how far the receiver is.
    case tellProgress(bytes: UInt64)
    /// Give the sender a note of the receiver's.
    case tellNote(Payload)
    /// Give the receiver a note of the sender's.
    case noteToReceiver(SessionID, Payload)
    /// Tell the sender that it is delivered.
    case tellDelivered(Payload)
    /// Tell the sender that it failed.
    case failSender(FailureCode, by: ServerMessage.Failed.Party)
    /// Tell a receiver that the transfer, or only its ring, is over.
    case failReceiver(SessionID, FailureCode, by: ServerMessage.Failed.Party)
    /// End whatever halves of the stream are attached, and answer them with how the transfer ended.
    case endStream(TransferOutcome)
    /// Forget the transfer and its tokens.
    case end(TransferOutcome)
}

/// How a transfer ended: the one word that both the messages and the answers of the streams give.
package enum TransferOutcome: Hashable, Sendable {
    case delivered
    case failed(FailureCode)
}

/// Why a session is there no more.
enum SessionEnd: Hashable, Sendable {
    /// Its connection is gone, and nothing else is known.
    case closed
    /// Its node is about to stop, and has sent it away or would have.
    case nodeStopping
    /// Its node is lost.
    case nodeLost

    /// What the other side is told when this was the session of `role`; only with ``closed`` is it that client who has
    /// gone.
    func cause(of role: TransferRole) -> FailureCode {
        switch self {
        case .closed: .streamLost(by: role)
        case .nodeStopping: .draining
        case .nodeLost: .clusterUnavailable
        }
    }
}
