// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

// This node's sessions in transfers of other homes: what they ask is passed on, and what the home says reaches them.
extension Exchange {
    /// Passes on what a session asks about a transfer of another home.
    package func forward(
        _ request: ForwardedRequest, _ id: RequestID, _ transfer: TransferID, by asking: ExchangeSession,
        _ session: SessionID
    ) -> [ExchangeAction] {
        guard let guest = guests[transfer], guest.sessions.contains(session) else {
            return [.send(session, .refusal(id, .unknownTransfer))]
        }
        if case .accept = request {
            if isDraining { return [.send(session, .refusal(id, .draining))] }
            if asking.accepted.count >= limits.transfersPerSession {
                return LimitRefusal(Limit(.accepts, of: .session), of: asking.owner, limits).actions(for: session, id)
            }
        }
        return [.tell(guest.home, .request(session: session.number, request))]
    }

    /// The home of a transfer says something to a session of this node.
    mutating func homeSaid(_ message: NodeMessage, _ home: NodeID) -> [ExchangeAction] {
        switch message {
        case .ring(let number, let transfer, let user, let recipient, let payload):
            return rung(SessionID(node: node, number: number), transfer, from: user, to: recipient, payload, home)
        case .start(let number, let request, let transfer, let token, let expires):
            let session = SessionID(node: node, number: number)
            guard isGuest(session, transfer, of: home) else { return [] }
            if sessions[session]?.accepted.insert(transfer).inserted == true { tally.guestAccepts += 1 }
            return notify(session, .start(request, transfer, token, expires: expires))
        case .ok(let number, let request): return answer(number, .ok(request))
        case .refuse(let number, let request, let code): return answer(number, .refuse(request, code))
        case .failed(let number, let transfer, let code, let party):
            let session = SessionID(node: node, number: number)
            guard isGuest(session, transfer, of: home) else { return [] }
            return notify(session, .failed(transfer, code, by: party))
        case .release(let number, let transfer):
            let session = SessionID(node: node, number: number)
            guard isGuest(session, transfer, of: home) else { return [] }
            return release(session, transfer)
        case .request, .left, .claim, .claimed, .stream, .abort: return []
        }
    }

    private mutating func rung(
        _ session: SessionID, _ transfer: TransferID, from user: User, to recipient: PeerName, _ payload: Payload,
        _ home: NodeID
    ) -> [ExchangeAction] {
        let refusal = [
            ExchangeAction.tell(home, .left(session: session.number, transfer: transfer, isStopping: isDraining))
        ]
        guard let ringing = sessions[session], ringing.isReceiving, !isDraining else { return refusal }
        // The home has the number from Redis. It may be out of date, and count for somebody else since this process
        // began, or be forged.
        guard ringing.user.name == recipient else { return refusal }
        // An id that is taken here already can only be somebody's attempt to mix two transfers up.
        guard transfers[transfer] == nil, guests[transfer]?.home ?? home == home else { return refusal }
        guard ringing.incoming.count < limits.offersPerRecipient + limits.transfersPerSession else { return refusal }
        guests[transfer, default: GuestTransfer(home: home, sessions: [])].sessions.insert(session)
        guard sessions[session]?.incoming.insert(transfer).inserted == true else { return [] }
        return notify(session, .ring(transfer, from: user, to: recipient, payload))
    }

    private mutating func answer(_ number: UInt64, _ notice: SessionNotice) -> [ExchangeAction] {
        let session = SessionID(node: node, number: number)
        return sessions[session] == nil ? [] : notify(session, notice)
    }

    private func isGuest(_ session: SessionID, _ transfer: TransferID, of home: NodeID) -> Bool {
        guard let guest = guests[transfer] else { return false }
        return guest.home == home && guest.sessions.contains(session)
    }

    /// The transfer has nothing more to do with the session.
    package mutating func release(_ session: SessionID, _ transfer: TransferID) -> [ExchangeAction] {
        guests[transfer]?.sessions.remove(session)
        if guests[transfer]?.sessions.isEmpty == true { guests[transfer] = nil }
        sessions[session]?.incoming.remove(transfer)
        if sessions[session]?.accepted.remove(transfer) != nil { tally.guestAccepts -= 1 }
        return closeIfIdle(session)
    }

    /// The session is gone, and its part in the transfer, if that is another home's, with it.
    mutating func guestLeft(_ transfer: TransferID, _ session: SessionID, wasAccepted: Bool) -> [ExchangeAction] {
        guard let guest = guests[transfer], guest.sessions.contains(session) else { return [] }
        // The session itself is forgotten already.
        if wasAccepted { tally.guestAccepts -= 1 }
        _ = release(session, transfer)
        return [.tell(guest.home, .left(session: session.number, transfer: transfer, isStopping: isDraining))]
    }
}
