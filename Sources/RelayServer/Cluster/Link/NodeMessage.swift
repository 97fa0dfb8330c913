// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What one node tells another about transfers (`docs/cluster-protocol.md`, section 4). `session` is the number of a
/// session on the node spoken to, or, in what goes to a home, on the speaker's.
enum NodeMessage: Hashable, Sendable {
    /// Ring that session, which is believed to be one of the name `to`: its own node knows.
    case ring(session: UInt64, transfer: TransferID, from: User, to: PeerName, payload: Payload)
    /// The answer to its `accept`: the download's token.
    case start(session: UInt64, request: RequestID, transfer: TransferID, token: Token, expires: Int)
    /// The answer to its request.
    case ok(session: UInt64, request: RequestID)
    /// The refusal of its request.
    case refuse(session: UInt64, request: RequestID, code: FailureCode)
    /// The transfer, or only its ring, is over.
    case failed(session: UInt64, transfer: TransferID, code: FailureCode, by: ServerMessage.Failed.Party)
    /// The session has nothing more to do with the transfer.
    case release(session: UInt64, transfer: TransferID)

    /// A session asks something about a transfer of the home spoken to.
    case request(session: UInt64, ForwardedRequest)
    /// The session is gone, or will not be rung.
    case left(session: UInt64, transfer: TransferID)

    /// Somebody showed a token: is it good?
    case claim(id: UInt64, digest: TokenDigest, role: TransferRole)
    /// Yes, and where the download is; or no.
    case claimed(id: UInt64, transfer: TransferID?, download: NodeID?)

    /// What the byte path reports to the home.
    case stream(transfer: TransferID, StreamEvent)
    /// Cut the halves you hold.
    case abort(transfer: TransferID, code: FailureCode)
}
