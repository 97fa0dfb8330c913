// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

// What sessions ask for.
extension Exchange {
    /// An open session asks for something. A session that is not open, or no longer, gets no answer.
    mutating func requestReceived(
        _ request: SessionRequest, from session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        guard let asking = sessions[session] else { return [] }
        switch request {
        case .presence(let message): return presenceChanged(message, of: asking, session, now: now)
        case .lookup(let message, let user): return [.send(session, answer(to: message, user))]
        case .offer(let message, let user): return offered(message, to: user, by: asking, session, now: now)
        case .accept(let message): return accepted(message, by: asking, session, now: now)
        case .decline(let message):
            return onTransfer(message.transfer, message.id, session, endingWith: message.code, now: now) {
                $0.declined(by: session, request: message.id, code: message.code)
            }
        case .cancel(let message):
            return onTransfer(message.transfer, message.id, session, endingWith: message.code, now: now) {
                $0.cancelled(by: session, request: message.id, code: message.code)
            }
        case .delivered(let message):
            return onTransfer(message.transfer, message.id, session, now: now) {
                $0.delivered(by: session, request: message.id, payload: message.payload, now: now)
            }
        case .progress(let message):
            // A report that comes too late or makes no sense is dropped: it is for the eyes only.
            return change(message.transfer, now: now) {
                $0.progressed(by: session, bytes: message.bytes, now: now)
            }
        }
    }

    private mutating func presenceChanged(
        _ message: ClientMessage.Presence, of asking: ExchangeSession, _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        var actions: [ExchangeAction] = [.send(session, .ok(.init(id: message.id)))]
        guard message.receiving != asking.isReceiving else { return actions }
        sessions[session]?.isReceiving = message.receiving
        tally.receiving += message.receiving ? 1 : -1
        var offers: [TransferID] = []
        changePresence(asking.user.name) { presence in
            if message.receiving {
                presence.receiving.append(session)
                offers = presence.offers
            } else {
                // What already rings goes on ringing: the session may still answer.
                presence.receiving.removeAll { $0 == session }
            }
        }
        for offer in offers {
            actions += change(offer, now: now) { $0.sessionReceiving(session, now: now) }
        }
        return actions
    }

    private func answer(to message: ClientMessage.Lookup, _ user: User?) -> ServerMessage {
        guard let user else { return unknownPeer(message.id, message.name) }
        let peer = ServerMessage.Peer(
            id: message.id, name: user.name, key: user.key, exchangeKey: user.exchangeKey,
            online: names[user.name]?.receiving.isEmpty == false
        )
        return .peer(peer)
    }

    private func unknownPeer(_ id: RequestID, _ name: PeerName) -> ServerMessage {
        .refusal(id, .unknownPeer, "nobody here is called \"\(name)\"")
    }

    private mutating func offered(
        _ offer: ClientMessage.Offer, to user: User?, by asking: ExchangeSession, _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        guard user != nil else { return [.send(session, unknownPeer(offer.id, offer.to))] }
        let presence = names[offer.to]
        let receivers = presence?.receiving.filter { $0 != session } ?? []
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if transfers[offer.transfer] != nil {
                .transferExists
            } else if asking.offered.count >= limits.transfersPerSession {
                .tooManyTransfers
            } else if presence?.offers.count ?? 0 >= limits.offersPerRecipient {
                .tooManyTransfers
            } else if tally.heldBytes + offer.payload.rawValue.utf8.count > limits.heldBytes {
                .unavailable
            } else if receivers.isEmpty && !offer.wait {
                .peerOffline
            } else { nil }
        if let refusal { return [.send(session, .refusal(offer.id, refusal))] }
        let (transfer, actions) = RelayedTransfer.offered(
            offer, by: session, ringing: receivers, timers: limits.timers, now: now
        )
        sessions[session]?.offered.insert(transfer.id)
        settle(transfer, since: .none)
        return run(actions, of: transfer, now: now)
    }

    private mutating func accepted(
        _ message: ClientMessage.Accept, by asking: ExchangeSession, _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if asking.accepted.count >= limits.transfersPerSession {
                .tooManyTransfers
            } else if !ledger.hasRoom(now: now) {
                .unavailable
            } else if tally.heldBytes + message.payload.rawValue.utf8.count > limits.heldBytes {
                .unavailable
            } else { nil }
        if let refusal { return [.send(session, .refusal(message.id, refusal))] }
        return onTransfer(message.transfer, message.id, session, now: now) {
            $0.accepted(by: session, request: message.id, payload: message.payload, now: now)
        }
    }

    /// Runs `body` on a transfer, or refuses the request.
    ///
    /// - Parameter code: the code that the request names, which has to be one of a client's.
    private mutating func onTransfer(
        _ transfer: TransferID, _ request: RequestID, _ session: SessionID, endingWith code: FailureCode? = nil,
        now: NIODeadline, _ body: (inout RelayedTransfer) -> [TransferAction]
    ) -> [ExchangeAction] {
        if let code, !code.isClients { return [.send(session, .refusal(request, .badMessage))] }
        guard transfers[transfer] != nil else { return [.send(session, .refusal(request, .unknownTransfer))] }
        return change(transfer, now: now, body)
    }
}
