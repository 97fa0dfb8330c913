// SPDX-License-Identifier: Apache-2.0

import WSProtocol

// This node's sessions in transfers of other homes: what they ask is passed on, and what the home says reaches them.
extension Broker {
    /// Passes on what a session asks about a transfer of another home.
    func forward(
        _ message: ClientMessage, to guest: RemoteTransfer, by asking: BrokerSession, _ session: SessionID
    ) -> [BrokerAction] {
        guard guest.sessions.contains(session) else {
            return [.send(session, .refusal(message.id, .unknownTransfer))]
        }
        if case .accept = message {
            if isDraining { return [.send(session, .refusal(message.id, .draining))] }
            if asking.accepted.count >= limits.transfersPerSession {
                return LimitRefusal(Limit(.accepts, of: .session), of: asking.owner, limits)
                    .actions(for: session, message.id)
            }
        }
        return [.tell(guest.home, .request(session: session.number, message))]
    }

    /// The home of a transfer has something to say to a session of this node.
    mutating func homeSaid(_ notice: SessionNotice, to session: SessionID, _ home: NodeID) -> [BrokerAction] {
        switch notice {
        case .ring(let transfer, let user, let recipient, let payload):
            return rung(session, transfer, from: user, to: recipient, payload, home)
        case .start(_, let transfer, _, expires: _):
            guard isGuest(session, transfer, of: home) else { return [] }
            if sessions[session]?.accepted.insert(transfer).inserted == true { tally.guestAccepts += 1 }
        case .failed(let transfer, _, by: _): guard isGuest(session, transfer, of: home) else { return [] }
        case .ok, .refuse: guard sessions[session] != nil else { return [] }
        }
        return notify(session, notice)
    }

    /// The home of a transfer is done with a session of this node.
    mutating func released(_ transfer: TransferID, _ session: SessionID, by home: NodeID) -> [BrokerAction] {
        isGuest(session, transfer, of: home) ? release(session, transfer) : []
    }

    private mutating func rung(
        _ session: SessionID, _ transfer: TransferID, from user: User, to recipient: PeerName, _ payload: Payload,
        _ home: NodeID
    ) -> [BrokerAction] {
        let refusal = [
            BrokerAction.tell(home, .left(session: session.number, transfer: transfer, isStopping: isDraining))
        ]
        guard let ringing = sessions[session], ringing.isReceiving, !isDraining else { return refusal }
        // The home has the session's number from Redis. It may be out of date, and belong to another user since this
        // process began, or be forged.
        guard ringing.user.name == recipient else { return refusal }
        // An id that is taken here already can only be an attempt of a client to mix two transfers up.
        guard transfers[transfer] == nil, remoteTransfers[transfer]?.home ?? home == home else { return refusal }
        guard ringing.incoming.count < limits.offersPerRecipient + limits.transfersPerSession else { return refusal }
        remoteTransfers[transfer, default: RemoteTransfer(home: home, sessions: [])].sessions.insert(session)
        guard sessions[session]?.incoming.insert(transfer).inserted == true else { return [] }
        return notify(session, .ring(transfer, from: user, to: recipient, payload))
    }

    private func isGuest(_ session: SessionID, _ transfer: TransferID, of home: NodeID) -> Bool {
        guard let guest = remoteTransfers[transfer] else { return false }
        return guest.home == home && guest.sessions.contains(session)
    }

    /// The transfer has nothing more to do with the session.
    mutating func release(_ session: SessionID, _ transfer: TransferID) -> [BrokerAction] {
        remoteTransfers[transfer]?.sessions.remove(session)
        if remoteTransfers[transfer]?.sessions.isEmpty == true { remoteTransfers[transfer] = nil }
        sessions[session]?.incoming.remove(transfer)
        if sessions[session]?.accepted.remove(transfer) != nil { tally.guestAccepts -= 1 }
        return closeIfIdle(session)
    }

    /// The session is gone, and its part in the transfer, if that is another home's, with it.
    mutating func guestLeft(_ transfer: TransferID, _ session: SessionID, wasAccepted: Bool) -> [BrokerAction] {
        guard let guest = remoteTransfers[transfer], guest.sessions.contains(session) else { return [] }
        // The session itself is forgotten already.
        if wasAccepted { tally.guestAccepts -= 1 }
        _ = release(session, transfer)
        return [.tell(guest.home, .left(session: session.number, transfer: transfer, isStopping: isDraining))]
    }
}
