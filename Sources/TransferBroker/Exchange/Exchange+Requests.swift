// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

// What sessions ask for.
extension Exchange {
    /// An open session asks for something. A session that is not open, or no longer, gets no answer.
    package mutating func requestReceived(
        _ request: SessionRequest, from session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        guard let asking = sessions[session] else { return [] }
        switch request {
        case .presence(let message): return presenceChanged(message, of: asking, session, now: now)
        case .lookup(let message, let user, let elsewhere):
            return [.send(session, answer(to: message, user, elsewhere))]
        case .offer(let message, let user, let elsewhere):
            return offered(message, to: user, elsewhere, by: asking, session, now: now)
        case .accept, .decline, .cancel, .delivered, .progress:
            return aboutTransfer(request, by: asking, session, now: now)
        }
    }

    /// What a session says about a transfer: decided here, or passed on to the transfer's home.
    private mutating func aboutTransfer(
        _ request: SessionRequest, by asking: ExchangeSession, _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        if let (id, transfer, forwarded) = request.forwarded, transfers[transfer] == nil, guests[transfer] != nil {
            return forward(forwarded, id, transfer, by: asking, session)
        }
        if case .accept(let message, token: _) = request, let refusal = refusal(of: message, by: asking) {
            return refusal.actions(for: session, message.id)
        }
        return decide(request, by: session, now: now)
    }

    /// Decides what a session of any node asks about a transfer of this home.
    mutating func decide(_ request: SessionRequest, by session: SessionID, now: NIODeadline) -> [ExchangeAction] {
        switch request {
        case .presence, .lookup, .offer: return []
        case .accept(let message, let token): return accepted(message, token, by: session, now: now)
        case .decline(let message):
            return onTransfer(message.transfer, message.id, session, endingWith: message.code, now: now) {
                $0.declined(by: session, request: message.id, code: message.code)
            }
        case .cancel(let message):
            // Which codes it may have depends on who says it: the transfer knows.
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
        _ message: ClientMessage.Presence, of asking: ExchangeSession, _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        let answer = ExchangeAction.send(session, .ok(.init(id: message.id)))
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

    private func answer(
        to message: ClientMessage.Lookup, _ user: User?, _ elsewhere: RemoteReceivers
    ) -> ServerMessage {
        guard let user else { return unknownPeer(message.id, message.name) }
        let isHere = names[user.name]?.receiving.isEmpty == false
        let isElsewhere: Bool
        switch elsewhere {
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
        _ offer: ClientMessage.Offer, to user: User?, _ elsewhere: RemoteReceivers, by asking: ExchangeSession,
        _ session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        guard user != nil else { return [.send(session, unknownPeer(offer.id, offer.to))] }
        let presence = names[offer.to]
        var receivers = presence?.receiving.filter { $0 != session } ?? []
        if case .known(let sessions) = elsewhere { receivers += sessions.filter { $0.node != node } }
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if isShortOfMemory {
                .unavailable
            } else if transfers[offer.transfer] != nil || guests[offer.transfer] != nil {
                .transferExists
            } else if receivers.isEmpty && elsewhere == .unknown {
                // Somebody may well be there: to say that nobody is would be a guess.
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
            + run(actions, of: transfer, token: nil, now: now)
    }

    private mutating func accepted(
        _ message: ClientMessage.Accept, _ token: Token?, by session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        let refusal: FailureCode? =
            if isDraining {
                .draining
            } else if !ledger.hasRoom(now: now) {
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
        // Without a token the transfer was not here when the request came.
        guard let token else { return notify(session, .refuse(message.id, .unknownTransfer)) }
        return onTransfer(message.transfer, message.id, session, token: token, now: now) {
            $0.accepted(by: session, request: message.id, payload: message.payload, now: now)
        }
    }

    /// Runs `body` on a transfer, or refuses the request.
    ///
    /// - Parameters:
    ///   - code: the code that the request names, which has to be one of a client's.
    ///   - token: what the request may need.
    private mutating func onTransfer(
        _ transfer: TransferID, _ request: RequestID, _ session: SessionID, endingWith code: FailureCode? = nil,
        token: Token? = nil, now: NIODeadline, _ body: (inout RelayedTransfer) -> [TransferAction]
    ) -> [ExchangeAction] {
        if let code, !code.isClients { return notify(session, .refuse(request, .badMessage)) }
        guard transfers[transfer] != nil else { return notify(session, .refuse(request, .unknownTransfer)) }
        return change(transfer, token: token, now: now, body)
    }
}

extension SessionRequest {
    /// What is passed on to the transfer's home, with the ids of the request and of the transfer; nil for requests that
    /// concern no transfer.
    fileprivate var forwarded: (RequestID, TransferID, ForwardedRequest)? {
        switch self {
        case .presence, .lookup, .offer: nil
        case .accept(let message, token: _): (message.id, message.transfer, .accept(message))
        case .decline(let message): (message.id, message.transfer, .decline(message))
        case .cancel(let message): (message.id, message.transfer, .cancel(message))
        case .progress(let message): (message.id, message.transfer, .progress(message))
        case .delivered(let message): (message.id, message.transfer, .delivered(message))
        }
    }
}
