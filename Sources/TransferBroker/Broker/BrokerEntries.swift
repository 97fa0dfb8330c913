// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A session, as operators are shown it.
package struct SessionEntry: Hashable, Sendable, Codable {
    /// Its name in the log, such as `n1-7`.
    package var id: String
    package var name: PeerName
    /// Where the client is, and for how many seconds it has been there; filled in by who knows.
    package var address: String?
    package var seconds: Int64?
    package var receiving: Bool
    package var sharing: Bool
    /// Transfers that it has offered, and that it has accepted.
    package var offered: Int
    package var accepted: Int
    /// Requests that it waits for answers to.
    package var requests: Int
    /// The number behind the node's name.
    package var number: UInt64

    init(_ id: SessionID, _ session: BrokerSession) {
        self.id = id.description
        number = id.number
        name = session.user.name
        receiving = session.isReceiving
        sharing = session.isSharing
        offered = session.offered.count
        accepted = session.accepted.count
        requests = session.requests.count
    }
}

/// A transfer, as operators are shown it.
package struct TransferEntry: Hashable, Sendable, Codable {
    /// How far it is.
    package enum State: String, Hashable, Sendable, Codable {
        case waiting, ringing, accepted, parked, streaming, streamed
    }

    package var id: TransferID
    package var state: State
    package var from: PeerName?
    package var to: PeerName
    /// The sessions of the two, by their names in the log.
    package var sender: String
    package var receiver: String?
    /// Bytes that have gone through on this node; filled in by who knows.
    package var bytes: UInt64?

    init(_ transfer: RelayedTransfer, from name: PeerName?) {
        id = transfer.id
        from = name
        to = transfer.recipient
        sender = transfer.sender.description
        receiver = transfer.receiver?.description
        state =
            switch transfer.state {
            case .waiting: .waiting
            case .ringing: .ringing
            case .accepted: .accepted
            case .parked: .parked
            case .streaming, .broken, .confirmed: .streaming
            case .streamed, .ended: .streamed
            }
    }
}
