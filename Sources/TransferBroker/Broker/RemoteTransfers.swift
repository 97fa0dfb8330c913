// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// The transfers of other homes that concern sessions of this node.
struct RemoteTransfers: Sendable {
    /// A transfer of another home.
    struct Transfer: Hashable, Sendable {
        let home: NodeID
        /// The sessions that were rung, or the one that accepted.
        fileprivate(set) var sessions: Set<SessionID> = []
        fileprivate var accepted: Set<SessionID> = []

        fileprivate init(home: NodeID) {
            self.home = home
        }
    }

    private let node: NodeID
    private let limits: BrokerLimits
    private(set) var transfers: [TransferID: Transfer] = [:]
    /// How often sessions of this node have accepted one and not been released.
    private(set) var acceptCount = 0

    init(node: NodeID, limits: BrokerLimits) {
        self.node = node
        self.limits = limits
    }

    subscript(transfer: TransferID) -> Transfer? { transfers[transfer] }

    /// A session of this node asks for something about one of the transfers: its home decides, unless it is clear here.
    func requestReceived(
        _ message: ClientMessage, from session: SessionID, about transfer: Transfer, _ sessions: SessionTable
    ) -> [BrokerAction] {
        guard transfer.sessions.contains(session), let asking = sessions[session] else {
            return [.send(session, .refusal(message.id, .unknownTransfer))]
        }
        if case .accept = message {
            if sessions.isDraining { return [.send(session, .refusal(message.id, .draining))] }
            if let refusal = sessions.holdings.refusalOfAccept(by: asking.owner, accepted: asking.accepted.count) {
                return sessions.refuse(message.id, of: session, refusal)
            }
        }
        return [.tell(transfer.home, .request(session: session.number, message))]
    }

    /// `home` has something to say to a session of this node.
    ///
    /// - Parameters:
    ///   - requests: what sessions of this node wait for answers to.
    ///   - isOwn: whether this node is the home of a transfer with an id that it names.
    mutating func noticeReceived(
        _ notice: SessionNotice, for session: SessionID, from home: NodeID, _ requests: PullRequests,
        _ sessions: inout SessionTable, isOwn: (TransferID) -> Bool
    ) -> [BrokerAction] {
        switch notice {
        case .ring(let transfer, let sender, let recipient, _, let answered):
            // An id that is taken here already can only be an attempt of a client to mix two transfers up.
            let isTaken = isOwn(transfer) || transfers[transfer]?.home ?? home != home
            // A session with an open request is rung even if it does not receive, but only by the user it has asked.
            let isWanted = answered.map { requests.isOpen($0, of: session, to: sender.name) }
            guard !isTaken, mayRing(session, recipient, isWanted, sessions) else {
                return [left(transfer, session, home, sessions)]
            }
            transfers[transfer, default: Transfer(home: home)].sessions.insert(session)
            guard sessions.rung(session, by: transfer) else { return [] }
        case .start(_, let transfer, _, expires: _):
            guard isHere(transfer, of: home, for: session) else { return [] }
            if transfers[transfer]?.accepted.insert(session).inserted == true { acceptCount += 1 }
            sessions.accepted(transfer, by: session)
        case .failed(let transfer, _, by: _), .note(let transfer, _):
            guard isHere(transfer, of: home, for: session) else { return [] }
        case .ok, .refuse: guard sessions[session] != nil else { return [] }
        case .refused: return []
        }
        return sessions.notify(session, notice)
    }

    private func mayRing(
        _ session: SessionID, _ recipient: PeerName, _ isWanted: Bool?, _ sessions: SessionTable
    ) -> Bool {
        guard let ringing = sessions[session], isWanted ?? ringing.isReceiving, !sessions.isDraining else {
            return false
        }
        // The home has the session's number from Redis. It may be out of date, and belong to another user since this
        // process began, or be forged.
        guard ringing.user.name == recipient else { return false }
        return sessions.hasRoom(for: session)
    }

    /// `home` is done with a session of this node.
    mutating func released(
        _ transfer: TransferID, _ session: SessionID, by home: NodeID, _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        guard isHere(transfer, of: home, for: session) else { return [] }
        forget(transfer, session)
        sessions.released(session, by: transfer)
        return sessions.closeIfIdle(session)
    }

    /// A session of this node is gone, and its part in the transfer, if that is one of these, with it.
    mutating func sessionClosed(
        _ session: SessionID, _ transfer: TransferID, _ sessions: SessionTable
    ) -> [BrokerAction] {
        guard let remote = transfers[transfer], remote.sessions.contains(session) else { return [] }
        forget(transfer, session)
        return [left(transfer, session, remote.home, sessions)]
    }

    /// `home` is gone, and all its transfers with it.
    mutating func homeLost(_ home: NodeID, _ sessions: inout SessionTable) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for transfer in transfers.filter({ $0.value.home == home }).keys.inOrder() {
            for session in transfers[transfer]?.sessions.inOrder() ?? [] {
                actions += sessions.notify(session, .failed(transfer, .clusterUnavailable, by: .relay))
                actions += released(transfer, session, by: home, &sessions)
            }
        }
        return actions
    }

    private func left(
        _ transfer: TransferID, _ session: SessionID, _ home: NodeID, _ sessions: SessionTable
    ) -> BrokerAction {
        .tell(home, .left(session: session.number, transfer: transfer, isStopping: sessions.isDraining))
    }

    /// Whether the transfer is of that home, and has to do with `session`.
    private func isHere(_ transfer: TransferID, of home: NodeID, for session: SessionID) -> Bool {
        transfers[transfer].map { $0.home == home && $0.sessions.contains(session) } ?? false
    }

    private mutating func forget(_ transfer: TransferID, _ session: SessionID) {
        transfers[transfer]?.sessions.remove(session)
        if transfers[transfer]?.accepted.remove(session) != nil { acceptCount -= 1 }
        if transfers[transfer]?.sessions.isEmpty == true { transfers[transfer] = nil }
    }
}
