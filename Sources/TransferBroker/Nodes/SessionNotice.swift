// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What the home of a transfer has to say to a session on its receiving side, on whichever node that is.
package enum SessionNotice: Hashable, Sendable {
    /// Rings the session, which is believed to be one of the name `to`: its own node knows.
    case ring(TransferID, from: User, to: PeerName, Payload)
    /// The answer to `accept`; `expires` is in seconds.
    case start(RequestID, TransferID, Token, expires: Int)
    /// The answer to a request.
    case ok(RequestID)
    /// The other answer to a request.
    case refuse(RequestID, FailureCode)
    /// The transfer, or only its ring, is over.
    case failed(TransferID, FailureCode, by: ServerMessage.Failed.Party)
}
