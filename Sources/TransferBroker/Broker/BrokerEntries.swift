// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// A session, as operators are shown it.
package struct SessionEntry: Hashable, Sendable, Codable {
    /// Its name in the log, such as `n1-7`.
    package var id: String
    /// The node that holds it.
    package var node: NodeID
    package var name: PeerName
    /// Where the client is; filled in by who knows.
    package var address: String?
    /// Seconds since the login.
    package var seconds: Int64
    package var receiving: Bool
    package var sharing: Bool
    /// Transfers that it has offered, and that it has accepted.
    package var offered: Int
    package var accepted: Int
    /// Requests that it waits for answers to.
    package var requests: Int
    /// The number behind the node's name.
    package var number: UInt64
    /// All transfers that it has a part in, those included that ring it.
    package var transfers: Int

    init(_ id: SessionID, _ session: BrokerSession, now: NIODeadline) {
        self.id = id.description
        (node, number) = (id.node, id.number)
        name = session.user.name
        seconds = Int64((now - session.openedAt).wholeSeconds)
        receiving = session.isReceiving
        sharing = session.isSharing
        offered = session.offered.count
        accepted = session.accepted.count
        requests = session.requests.count
        transfers = session.transferCount
    }
}

/// A transfer, as operators are shown it.
package struct TransferEntry: Hashable, Sendable, Codable {
    /// How far it is: the words of the metrics' `state`.
    package enum State: String, Hashable, Sendable, Codable {
        case waiting, ringing, accepted, parked, streaming, streamed

        fileprivate init(_ state: RelayedTransfer.State) {
            self =
                switch state {
                case .waiting: .waiting
                case .ringing: .ringing
                case .accepted: .accepted
                case .parked: .parked
                case .streaming, .broken, .confirmed: .streaming
                case .streamed, .ended: .streamed
                }
        }

        /// What moves is looked at first.
        fileprivate var rank: Int {
            switch self {
            case .streaming: 0
            case .streamed: 1
            case .parked: 2
            case .accepted: 3
            case .ringing: 4
            case .waiting: 5
            }
        }
    }

    package var id: TransferID
    /// Its home.
    package var node: NodeID
    package var state: State
    package var from: PeerName
    package var to: PeerName
    /// The sessions of the two, by their names in the log.
    package var sender: String
    package var receiver: String?
    /// Seconds since the offer.
    package var seconds: Int64
    /// The node that holds the download, once there is one.
    package var download: NodeID?
    /// Bytes that have gone through on its home; filled in by who knows.
    package var bytes: UInt64?

    init(_ transfer: RelayedTransfer, node: NodeID, download: NodeID?, now: NIODeadline) {
        id = transfer.id
        (self.node, self.download) = (node, download)
        from = transfer.senderName
        to = transfer.recipient
        sender = transfer.sender.description
        receiver = transfer.receiver?.description
        seconds = Int64((now - transfer.offeredAt).wholeSeconds)
        state = State(transfer.state)
    }
}

// All of these look at everything that there is: for an operator's requests, and of a copy, which no client waits for.
extension Broker {
    /// The sessions of this node with higher numbers than `number`, in the order in which they came: `count` at most.
    package func sessions(after number: UInt64, atMost count: Int, now: NIODeadline) -> [SessionEntry] {
        sessions.sessions.filter { $0.key.number > number }.sorted { $0.key.number < $1.key.number }.prefix(count)
            .map { SessionEntry($0.key, $0.value, now: now) }
    }

    /// The transfers whose home this node is, behind `transfer` in the order of their ids: `count` at most.
    package func transfers(after transfer: TransferID?, atMost count: Int, now: NIODeadline) -> [TransferEntry] {
        home.transfers.transfers.values.filter { $0.id.rawValue > transfer?.rawValue ?? "" }
            .sorted { $0.id.rawValue < $1.id.rawValue }.prefix(count).map { entry($0, now) }
    }

    /// At most `limit` sessions: those with most transfers first, and the oldest of them before the others.
    package func busiestSessions(limit: Int, now: NIODeadline) -> [SessionEntry] {
        sessions.sessions.map { (-$0.value.transferCount, $0.value.openedAt, $0.key.number, $0) }
            .sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }.prefix(limit)
            .map { SessionEntry($0.3.key, $0.3.value, now: now) }
    }

    /// At most `limit` transfers of this home: those that move first, and the oldest of them before the others.
    package func foremostTransfers(limit: Int, now: NIODeadline) -> [TransferEntry] {
        home.transfers.transfers.values.map { (TransferEntry.State($0.state).rank, $0.offeredAt, $0.id.rawValue, $0) }
            .sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }.prefix(limit).map { entry($0.3, now) }
    }

    private func entry(_ transfer: RelayedTransfer, _ now: NIODeadline) -> TransferEntry {
        TransferEntry(transfer, node: node, download: home.halves[transfer.id].download, now: now)
    }

    /// How many sessions of `name` are here.
    package func sessionCount(of name: PeerName) -> Int { sessions.presence(of: name).sessions.count }
}
