// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

// What sessions ask for.
extension Broker {
    /// A session asks for something. A session of this node that is not open, or no longer, gets no answer.
    mutating func requestReceived(
        _ message: ClientMessage, from session: SessionID, _ found: LookupResult?, now: NIODeadline
    ) -> [BrokerAction] {
        guard session.node == node else { return decide(message, by: session, now: now) }
        guard let asking = sessions[session] else { return [] }
        switch message {
        case .presence(let request): return presenceChanged(request, of: asking, session, now: now)
        case .lookup(let request):
            guard let found else { return [.send(session, .refusal(request.id, .unavailable))] }
            return [.send(session, answer(to: request, found))]
        case .offer(let request):
            guard let found else { return [.send(session, .refusal(request.id, .unavailable))] }
            return offered(request, found, by: asking, session, now: now)
        case .accept, .decline, .cancel, .delivered, .progress:
            return aboutTransfer(message, by: asking, session, now: now)
        // ``SessionMachine`` answers these.
        case .login, .register, .ping: return []
        }
    }

    /// What a session says about a transfer: decided here, or passed on to the transfer's home.
    private mutating func aboutTransfer(
        _ message: ClientMessage, by asking: BrokerSession, _ session: SessionID, now: NIODeadline
    ) -> [BrokerAction] {
        if let transfer = message.transfer, transfers[transfer] == nil, let guest = remoteTransfers[transfer] {
            return forward(message, to: guest, by: asking, session)
        }
        if case .accept(let request) = message, let refusal = refusal(of: request, by: asking) {
            return refusal.actions(for: session, request.id)
        }
        return decide(message, by: session, now: now)
    }

    /// Decides what a session of any node asks about a transfer of this home.
    private mutating func decide(
        _ message: ClientMessage, by session: SessionID, now: NIODeadline
    ) -> [BrokerAction] {
        switch message {
        case .login, .register, .presence, .lookup, .offer, .ping: return []
        case .accept(let message): return accepted(message, by: session, now: now)
        case .decline(let message):
            return onTransfer(message.transfer, message.id, session, endingWith: message.code, now: now) {
                $0.declined(by: session, request: message.id, code: message.code)
            }
        case .cancel(let message):
            // Which of the two losses it may name depends on the side it is of: the transfer knows.
            let isLoss = [.streamLost(by: .upload), .streamLost(by: .download)].contains(message.code)
            guard isLoss || message.code.isClients else { return notify(session, .refuse(message.id, .badMessage)) }
            return onTransfer(message.transfer, message.id, session, now: now) {
                $0.cancelled(by: session, request: message.id, code: message.code)
            }
        case .delivered(let message):
            return onTransfer(message.transfer, message.id, session, now: now) {
                $0.delivered(by: session, request: message.id, payload: message.payload, now: now)
            }
        case .progress(let message):
            // A report that comes too late or makes no sense is dropped: it is for the eyes only.
            let actions = change(message.transfer, now: now) {
                $0.progressed(by: session, bytes: message.bytes, now: now)
            }
            if actions.isEmpty { tally.progressDropped &+= 1 }
            return actions
        }
    }

    private mutating func presenceChanged(
        _ message: ClientMessage.Presence, of asking: BrokerSession, _ session: SessionID, now: NIODeadline
    ) -> [BrokerAction] {
        let answer = BrokerAction.send(session, .ok(.init(id: message.id)))
        guard message.receiving != asking.isReceiving else { return [answer] }
        sessions[session]?.isReceiving = message.receiving
        tally.receiving += message.receiving ? 1 : -1
        var offers: [TransferID] = []
        var actions =
            [answer]
            + changePresence(asking.user.name) { presence in
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

    private func answer(to message: ClientMessage.Lookup, _ found: LookupResult) -> ServerMessage {
        guard let user = found.user else { return unknownPeer(message.id, message.name) }
        let isHere = names[user.name]?.receiving.isEmpty == false
        let isElsewhere: Bool
        switch found.elsewhere {
        case .known(let sessions): isElsewhere = !sessions.isEmpty
        case .unknown where isHere: isElsewhere = false
        case .unknown: return .refusal(message.id, .clusterUnavailable)
        }
        let peer = ServerMessage.Peer(
            id: message.id, name: user.name, key: user.key, exchangeKey: user.exchangeKey,
            online: isHere || isElsewhere
        )
        return .peer(peer)
    }

    private func unknownPeer(_ id: RequestID, _ name: PeerName) -> ServerMessage {
        .refusal(id, .unknownPeer, "nobody here is called \"\(name)\"")
    }

    private mutating func offered(
        _ offer: ClientMessage.Offer, _ found: LookupResult, by asking: BrokerSession, _ session: SessionID,
        now: NIODeadline
    ) -> [BrokerAction] {
        guard found.user != nil else { return [.send(session, unknownPeer(offer.id, offer.to))] }
        let presence = names[offer.to]
        var receivers = presence?.receiving.filter { $0 != session } ?? []
        if case .known(let sessions) = found.elsewhere { receivers += sessions.filter { $0.node != node } }
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if isShortOfMemory {
                .unavailable
            } else if transfers[offer.transfer] != nil || remoteTransfers[offer.transfer] != nil {
                .transferExists
            } else if receivers.isEmpty && found.elsewhere == .unknown {
                // A receiver may be on another node: to answer that there is none would be a guess.
                .clusterUnavailable
            } else if receivers.isEmpty && !offer.wait {
                .peerOffline
            } else { nil }
        if let refusal { return [.send(session, .refusal(offer.id, refusal))] }
        if let refusal = self.refusal(of: offer, by: asking) { return refusal.actions(for: session, offer.id) }
        let (transfer, actions) = RelayedTransfer.offered(
            offer, by: session, ringing: receivers, timers: limits.timers, now: now
        )
        sessions[session]?.offered.insert(transfer.id)
        return [.announce(.home(transfer.id, true))] + settle(transfer, since: .none)
            + run(actions, of: transfer)
    }

    private mutating func accepted(
        _ message: ClientMessage.Accept, by session: SessionID, now: NIODeadline
    ) -> [BrokerAction] {
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if !hasRoomForToken(now: now) {
                .unavailable
            } else { nil }
        if let refusal { return notify(session, .refuse(message.id, refusal)) }
        if session.node != node, let transfer = transfers[message.transfer],
            let refusal = self.refusal(of: message, by: Owner(name: transfer.recipient, address: nil))
        {
            // What other nodes pass on has a code, and the code's own sentence.
            return notify(session, .refuse(message.id, refusal.code))
                + [.limitMet(refusal.limit, refusal.owner)]
        }
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
    ) -> [BrokerAction] {
        if let code, !code.isClients { return notify(session, .refuse(request, .badMessage)) }
        guard transfers[transfer] != nil else { return notify(session, .refuse(request, .unknownTransfer)) }
        return change(transfer, now: now, body)
    }
}
