// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

// What sessions do to a transfer.
extension RelayedTransfer {
    /// A session of the recipient's name wants to be rung.
    package mutating func sessionReceiving(_ session: SessionID, now: NIODeadline) -> [TransferAction] {
        // Offering to one's own name rings the other sessions of that name.
        guard session != sender else { return [] }
        switch state {
        case .waiting(let payload):
            state = .ringing(
                payload, rung: [Rung(session: session, hasDeclined: false)], lastDecline: nil,
                deadline: now + timers.ring
            )
            return [.tellOffered(.ringing), .ring(session, payload)]
        case .ringing(let payload, var rung, let lastDecline, let deadline):
            guard !rung.contains(where: { $0.session == session }) else { return [] }
            rung.append(Rung(session: session, hasDeclined: false))
            state = .ringing(payload, rung: rung, lastDecline: lastDecline, deadline: deadline)
            return [.ring(session, payload)]
        case .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended: return []
        }
    }

    /// `session` takes the transfer; the first one gets it.
    package mutating func accepted(
        by session: SessionID, request: RequestID, payload: Payload, now: NIODeadline
    ) -> [TransferAction] {
        switch state {
        case .ringing(_, let rung, lastDecline: _, deadline: _)
        where rung.contains(Rung(session: session, hasDeclined: false)):
            let others = failPending(.acceptedElsewhere, by: .relay, except: session)
            state = .accepted(receiver: session, payload, deadline: now + timers.claim)
            return [.startDownload(session, request), .tellOffered(.accepted)] + others
        case .waiting, .ringing, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// `session` does not want the transfer.
    package mutating func declined(
        by session: SessionID, request: RequestID, code: FailureCode
    ) -> [TransferAction] {
        switch state {
        case .ringing(let payload, var rung, lastDecline: _, let deadline):
            guard let index = rung.firstIndex(of: Rung(session: session, hasDeclined: false)) else {
                return [.refuse(session, request, .unknownTransfer)]
            }
            rung[index].hasDeclined = true
            state = .ringing(payload, rung: rung, lastDecline: code, deadline: deadline)
            return [.answer(session, request)] + endIfNobodyIsLeft()
        case .waiting, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// `session`, on either side, ends the transfer.
    package mutating func cancelled(
        by session: SessionID, request: RequestID, code: FailureCode
    ) -> [TransferAction] {
        switch state {
        // Nothing can be called off any more: the receiver has it, and the sender is about to hear so.
        case .confirmed, .ended: return [.refuse(session, request, .unknownTransfer)]
        case .waiting, .ringing, .accepted, .parked, .streaming, .streamed, .broken: break
        }
        let abort: [TransferAction] = receiver == nil ? [] : [.endStream(.failed(code))]
        let role: TransferRole? = session == sender ? .upload : session == receiver ? .download : nil
        let isLoss = role.map { code == .streamLost(by: $0) } ?? false
        guard isLoss || code.isClients else { return [.refuse(session, request, .badMessage)] }
        let party = isLoss ? ServerMessage.Failed.Party.relay : .peer
        switch role {
        case .upload: return end(.failed(code), [.answer(session, request)] + failPending(code, by: party) + abort)
        case .download:
            return end(.failed(code), [.answer(session, request), .failSender(code, by: party)] + abort)
        case nil: break
        }
        // A receiver that has only been rung speaks for one session.
        return declined(by: session, request: request, code: code)
    }

    /// The receiver reports how far it is. Too many reports are dropped, and so are all that make no sense.
    package mutating func progressed(by session: SessionID, bytes: UInt64, now: NIODeadline) -> [TransferAction] {
        switch state {
        case .waiting, .ringing, .broken, .ended: return []
        case .accepted, .parked, .streaming, .confirmed, .streamed:
            guard session == receiver, now >= nextProgress else { return [] }
            nextProgress = now + timers.progress
            return [.tellProgress(bytes: bytes)]
        }
    }

    /// The receiver says that everything is verified and stored.
    ///
    /// Its word is enough in each state from `accepted` on: a receiver that already has everything need not wait for a
    /// stream. Only when the sender may be uploading is the end of the stream awaited, so that it is not cut.
    package mutating func delivered(
        by session: SessionID, request: RequestID, payload: Payload, now: NIODeadline
    ) -> [TransferAction] {
        guard session == receiver else { return [.refuse(session, request, .unknownTransfer)] }
        switch state {
        case .accepted:
            return end(
                .delivered, [.answer(session, request), .tellDelivered(payload), .endStream(.delivered)])
        case .parked, .streaming:
            state = .confirmed(receiver: session, payload, deadline: now + timers.straggler)
            return [.answer(session, request)]
        // A receiver that has everything may close its stream before the byte path is done with it.
        case .streamed: return end(.delivered, [.answer(session, request), .tellDelivered(payload)])
        case .broken:
            return end(.delivered, [.answer(session, request), .tellDelivered(payload), .endStream(.delivered)])
        case .waiting, .ringing, .confirmed, .ended: return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// A session's connection is gone.
    ///
    /// - Parameter why: when it is its node that goes, the client is probably still there, and worth another try.
    package mutating func sessionClosed(_ session: SessionID, _ why: SessionEnd = .closed) -> [TransferAction] {
        switch state {
        case .waiting: return session == sender ? fail(.senderGone, except: session) : []
        case .ringing(let payload, var rung, let lastDecline, let deadline):
            if session == sender { return fail(.senderGone, except: session) }
            guard let index = rung.firstIndex(where: { $0.session == session }) else { return [] }
            rung.remove(at: index)
            state = .ringing(payload, rung: rung, lastDecline: lastDecline, deadline: deadline)
            return endIfNobodyIsLeft(otherwise: why == .closed ? .peerOffline : why.ofReceiver)
        case .accepted, .parked, .streaming, .streamed:
            if session == sender { return fail(.senderGone, except: session) }
            return session == receiver ? fail(why.ofReceiver, except: session) : []
        case .broken(let receiver, let cause, deadline: _):
            guard session == sender || session == receiver else { return [] }
            return fail(why == .closed ? cause : why.ofReceiver, except: session)
        case .confirmed(let receiver, let payload, deadline: _):
            if session == sender { return end(.delivered, [.endStream(.delivered)]) }
            // What the receiver came for is done.
            guard session == receiver else { return [] }
            return end(.delivered, [.tellDelivered(payload), .endStream(.delivered)])
        case .ended: return []
        }
    }

    /// After a decline or a vanished session: ends the offer when no rung session may still answer it.
    ///
    /// - Parameter code: what a sender that does not wait is told when no session has declined.
    private mutating func endIfNobodyIsLeft(otherwise code: FailureCode = .peerOffline) -> [TransferAction] {
        guard case .ringing(let payload, let rung, let lastDecline, deadline: _) = state,
            rung.allSatisfy(\.hasDeclined)
        else { return [] }
        if let lastDecline { return end(.failed(lastDecline), [.failSender(lastDecline, by: .peer)]) }
        guard waits else { return fail(code) }
        state = .waiting(payload)
        return [.tellOffered(.waiting)]
    }
}
