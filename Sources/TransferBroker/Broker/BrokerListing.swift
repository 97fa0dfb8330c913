// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// A part of what a broker holds, for an operator who looks at it: never more than was asked for.
package struct BrokerListing: Hashable, Sendable {
    /// A transfer of this home.
    package struct Transfer: Hashable, Sendable {
        package var id: TransferID
        package var sender: PeerName
        package var recipient: PeerName
        /// One of the words of the metrics' `state`.
        package var state: String
        package var age: TimeAmount
        /// The node that holds the download, once there is one.
        package var node: NodeID?
    }

    /// A session of this node.
    package struct Session: Hashable, Sendable {
        package var id: SessionID
        package var name: PeerName
        package var isReceiving: Bool
        package var isSharing: Bool
        /// Transfers it has a part in.
        package var transfers: Int
        package var age: TimeAmount
    }

    /// Those that move first, and the oldest of them before the others.
    package var transfers: [Transfer] = []
    /// Those with most transfers first, and the oldest of them before the others.
    package var sessions: [Session] = []
}

extension Broker {
    /// At most `limit` transfers and as many sessions. Looks at all of them: for an operator's requests alone.
    package func listing(limit: Int, now: NIODeadline) -> BrokerListing {
        let transfers = home.transfers.transfers.values.sorted {
            ($0.state.rank, $0.offeredAt, $0.id.rawValue) < ($1.state.rank, $1.offeredAt, $1.id.rawValue)
        }
        let sessions = sessions.sessions.sorted {
            (-$0.value.transferCount, $0.value.openedAt, $0.key.number)
                < (-$1.value.transferCount, $1.value.openedAt, $1.key.number)
        }
        return BrokerListing(
            transfers: transfers.prefix(limit).map {
                .init(
                    id: $0.id, sender: $0.senderName, recipient: $0.recipient, state: $0.state.word,
                    age: now - $0.offeredAt, node: home.halves[$0.id].download)
            },
            sessions: sessions.prefix(limit).map { id, session in
                .init(
                    id: id, name: session.user.name, isReceiving: session.isReceiving, isSharing: session.isSharing,
                    transfers: session.transferCount, age: now - session.openedAt)
            }
        )
    }
}

extension RelayedTransfer.State {
    /// The word for it in figures.
    fileprivate var word: String {
        switch self {
        case .waiting: "waiting"
        case .ringing: "ringing"
        case .accepted: "accepted"
        case .parked: "parked"
        case .streaming, .broken, .confirmed: "streaming"
        case .streamed: "streamed"
        case .ended: "ended"
        }
    }

    /// What moves is looked at first.
    fileprivate var rank: Int {
        switch self {
        case .streaming, .broken, .confirmed: 0
        case .streamed: 1
        case .parked: 2
        case .accepted: 3
        case .ringing: 4
        case .waiting, .ended: 5
        }
    }
}
