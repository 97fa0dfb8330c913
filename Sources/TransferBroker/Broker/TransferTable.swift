// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The transfers whose home this node is, and when each of them wants to be looked at.
struct TransferTable: Sendable {
    private(set) var transfers: [TransferID: RelayedTransfer] = [:]
    private(set) var deadlines = DeadlineQueue<TransferID>()
    /// Transfers that a receiver has accepted; kept, because counting them would mean to look at all.
    private(set) var activeCount = 0

    subscript(transfer: TransferID) -> RelayedTransfer? { transfers[transfer] }

    /// Keeps what a transfer has become, and forgets one that has ended.
    mutating func apply(_ change: TransferChange) {
        let (before, after) = (change.before, change.after)
        transfers[change.id] = change.isOver ? nil : change.transfer
        activeCount += (after.receiver == nil ? 0 : 1) - (before.receiver == nil ? 0 : 1)
        guard let deadline = after.deadline, deadline != before.deadline else { return }
        deadlines.insert(change.id, at: deadline)
        // At most one entry of each transfer stands; the others came from states that it has left.
        if deadlines.count > 2 * transfers.count + 64 {
            deadlines.compact { transfers[$0.key]?.deadline == $0.deadline }
        }
    }

    /// A transfer whose deadline has passed; nil when there are no more.
    mutating func popDue(now: NIODeadline) -> TransferID? {
        while let due = deadlines.popDue(now: now) {
            if transfers[due.key]?.deadline == due.deadline { return due.key }
        }
        return nil
    }

    /// Adds the transfers to `status`, by their states.
    func count(into status: inout BrokerStatus) {
        for transfer in transfers.values {
            switch transfer.state {
            case .waiting: status.waiting += 1
            case .ringing: status.ringing += 1
            case .accepted: status.accepted += 1
            case .parked: status.parked += 1
            case .streaming, .broken, .confirmed: status.streaming += 1
            case .streamed: status.streamed += 1
            case .ended: break
            }
        }
    }
}

/// The sessions of other nodes on the receiving side of this home's transfers.
struct RemoteSessions: Sendable {
    private(set) var sessions: [SessionID: Set<TransferID>] = [:]

    /// Each of `node`'s sessions, with each transfer that it has a part in.
    func transfers(ofNode node: NodeID) -> [(session: SessionID, transfer: TransferID)] {
        sessions.keys.filter { $0.node == node }.inOrder().flatMap { session in
            (sessions[session] ?? []).inOrder().map { (session, $0) }
        }
    }

    /// A transfer whose home is this node has changed: lets go of the sessions that have no part in it any more.
    mutating func apply(_ change: TransferChange, home: NodeID) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for session in change.left where session.node != home && sessions[session]?.remove(change.id) != nil {
            if sessions[session]?.isEmpty == true { sessions[session] = nil }
            actions.append(.tell(session.node, .release(session: session.number, transfer: change.id)))
        }
        for session in change.joined where session.node != home { sessions[session, default: []].insert(change.id) }
        return actions
    }
}
