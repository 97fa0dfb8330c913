// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What one node says to another over a link: the registry of all of it. `docs/cluster-protocol.md`, section 4, has the
/// meaning and an example of each.
///
/// `session` is the number of a session on the node spoken to (home to session node) or on the caller (session node to
/// home).
package enum NodeMessage: Hashable, Sendable {
    // Home to session node.

    /// Tell the session of this number.
    case notice(session: UInt64, SessionNotice)
    /// The session of this number has nothing more to do with the transfer.
    case release(session: UInt64, transfer: TransferID)

    // Session node to home.

    /// What the client asked.
    case request(session: UInt64, ClientMessage)
    /// The session is gone, or will not be rung; `isStopping` says that its node is about to stop.
    case left(session: UInt64, transfer: TransferID, isStopping: Bool = false)

    // Between the node of a session that asks and those of sharing sessions. `session` is the one that asks: in what
    // its own node says, one of the caller, and in what it is told, in a notice, one of the node spoken to.

    /// Bring the request to the sessions of the name `to` that share.
    case ask(session: UInt64, PullRequestID, from: User, to: PeerName, Payload)
    /// The session does not wait for answers to the request any more.
    case withdrawn(session: UInt64, PullRequestID)

    // Between the home and the nodes that hold the halves.

    /// A client has shown a token here: is it good?
    case claim(id: UInt64, digest: TokenDigest, role: TransferRole)
    /// Yes, where the download is parked, and whose bytes they are; without a transfer: no.
    case claimed(id: UInt64, transfer: TransferID?, download: NodeID?, users: [PeerName] = [])
    /// What the byte path reports; `url` is the own address for clients of a node that has parked the download.
    case stream(transfer: TransferID, StreamEvent, url: PublicURL? = nil)
    /// End the halves you hold, and answer them with this.
    case abort(transfer: TransferID, TransferOutcome)

    /// The key of a message's object.
    package enum Kind: String, CaseIterable {
        case ring, start, ok, refuse, failed, note, release, request, left, ask, withdrawn, refused, claim, claimed
        case stream, abort
    }

    /// Which message it is.
    package var kind: Kind {
        switch self {
        case .notice(_, .ring): .ring
        case .notice(_, .start): .start
        case .notice(_, .ok): .ok
        case .notice(_, .refuse): .refuse
        case .notice(_, .failed): .failed
        case .notice(_, .note): .note
        case .notice(_, .refused): .refused
        case .release: .release
        case .request: .request
        case .left: .left
        case .ask: .ask
        case .withdrawn: .withdrawn
        case .claim: .claim
        case .claimed: .claimed
        case .stream: .stream
        case .abort: .abort
        }
    }
}

/// What the home of a transfer has to say to a session on its receiving side, and what a sharer's node has to say to
/// one that has asked, on whichever node that is.
package enum SessionNotice: Hashable, Sendable {
    /// Rings the session, which is believed to be one of the name `to`: its own node knows. Of the sender's keys, a
    /// ring has no prekey. One that answers a request is for a session that has the request open.
    case ring(TransferID, from: User, to: PeerName, Payload, answers: PullRequestID? = nil)
    /// The answer to `accept`; `expires` is in seconds.
    case start(RequestID, TransferID, Token, expires: Int)
    /// The answer to a request.
    case ok(RequestID)
    /// The other answer to a request.
    case refuse(RequestID, FailureCode)
    /// What the sender of a transfer that the session has accepted has for it.
    case note(TransferID, Payload)
    /// The transfer, or only its ring, is over.
    case failed(TransferID, FailureCode, by: ServerMessage.Failed.Party)
    /// A session of that name will not answer the request with an offer.
    case refused(PullRequestID, by: PeerName, FailureCode)
}
