// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

@testable import TransferBroker

// What tests look at in a broker.
extension Broker.Snapshot {
    var transfers: [TransferID: RelayedTransfer] { home.transfers.transfers }
    var halves: [TransferID: StreamHalves.Halves] { home.halves.streams }
    /// Tokens that were handed out and have not been used.
    var unusedTokens: [TokenDigest: TokenLedger.Entry] { home.tokens.ledger.entries }
    /// Tokens that are being made.
    var pendingTokens: [TransferID: TokenIssuer.Pending] { home.tokens.pending }
    /// The sessions of other nodes in transfers of this home.
    var remoteSessions: [SessionID: Set<TransferID>] { home.remoteSessions.sessions }
    /// The transfers of other homes with sessions of this node.
    var remoteTransfers: [TransferID: RemoteTransfers.Transfer] { remote.transfers }
    /// Requests that may be answered, of this node's sessions and of others'.
    var openRequests: [PullRequestID: [SessionID: PullRequests.Open]] { requests.requests }
    var nextDeadline: NIODeadline? { [home.transfers.deadlines.next, requests.deadlines.next].compactMap { $0 }.min() }
    /// Whether users hold nothing.
    var holdsNothing: Bool { sessions.holdings.isEmpty }

    /// A number that differs when anything differs that future events depend on. The order of deadlines that no longer
    /// stand, and how many messages a session has been sent, make no difference.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(sessions.isDraining)
        hasher.combine(
            Self.sum(sessions.sessions) { hasher, session, found in
                hasher.combine(session)
                hasher.combine(found.isReceiving)
                hasher.combine(found.isSharing)
                hasher.combine(found.requests)
                hasher.combine(found.offered)
                hasher.combine(found.incoming)
                hasher.combine(found.accepted)
                hasher.combine(found.taken)
            }
        )
        hasher.combine(
            Self.sum(sessions.names) { hasher, name, presence in
                hasher.combine(name)
                hasher.combine(presence.sessions)
                hasher.combine(presence.receiving)
                hasher.combine(presence.sharing)
                hasher.combine(presence.offers)
            }
        )
        hasher.combine(
            Self.sum(transfers) { hasher, id, transfer in
                hasher.combine(id)
                hasher.combine(transfer.sender)
                hasher.combine(transfer.state)
            }
        )
        hasher.combine(unusedTokens)
        hasher.combine(pendingTokens)
        hasher.combine(halves)
        hasher.combine(remoteSessions)
        hasher.combine(remoteTransfers)
        hasher.combine(requests.requests)
        hasher.combine(home.transfers.activeCount)
        hasher.combine(remote.acceptCount)
        hasher.combine(sessions.holdings.waitingBytes)
        hasher.combine(sessions.receivingCount)
        hasher.combine(sessions.sharingCount)
        return hasher.finalize()
    }

    private static func sum<Key, Value>(
        _ dictionary: [Key: Value], _ combine: (inout Hasher, Key, Value) -> Void
    ) -> Int {
        dictionary.reduce(0) { sum, entry in
            var hasher = Hasher()
            combine(&hasher, entry.key, entry.value)
            return sum &+ hasher.finalize()
        }
    }
}
