// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

/// One transfer as the relay sees it (sections 1.6 to 1.8 of the protocol): from the offer to `delivered` or `failed`.
///
///     waiting <-> ringing -> accepted -> parked -> streaming -> streamed -> ended
///                                          \______ confirmed ______/
///
/// `confirmed` is there because the receiver's `delivered` and the byte path's report of the last byte come by
/// different threads: either may be first. A stream that was cut goes from `streaming` to `broken` for a moment,
/// because the client that cut it may be about to say why. Any state may go to `ended`.
struct RelayedTransfer: Sendable {
    /// A session that was rung.
    struct Rung: Hashable, Sendable {
        var session: SessionID
        var hasDeclined: Bool
    }

    /// Where the transfer is.
    enum State: Hashable, Sendable {
        /// No session is there to be rung.
        case waiting(Payload)
        /// At least one session has been rung, and not all of them declined; or one is about to come and be rung.
        /// `lastDecline` is the last decliner's code.
        case ringing(Payload, rung: [Rung], lastDecline: FailureCode?, deadline: NIODeadline)
        /// The receiver has its token; its `accept` payload is kept for the sender.
        case accepted(receiver: SessionID, Payload, deadline: NIODeadline)
        /// The receiver's stream is attached, and the sender has its token.
        case parked(receiver: SessionID, deadline: NIODeadline)
        case streaming(receiver: SessionID)
        /// The receiver said `delivered` before the byte path reported the end.
        case confirmed(receiver: SessionID, Payload, deadline: NIODeadline)
        /// Every byte has been handed over; the receiver has yet to say `delivered`.
        case streamed(receiver: SessionID, deadline: NIODeadline)
        /// The stream was cut at one end, whose session is still there and may say why.
        case broken(receiver: SessionID, FailureCode, deadline: NIODeadline)
        case ended
    }

    let id: TransferID
    let sender: SessionID
    /// The name that the sender is logged in with.
    let senderName: PeerName
    /// Everything that the sender hears goes under this id.
    let offerID: RequestID
    /// Whose sessions are rung.
    let recipient: PeerName
    /// Whether the offer stays when no session is there to be rung.
    let waits: Bool
    /// The request that it answers: only sessions that have it open are rung.
    let answers: PullRequestID?
    private(set) var state: State
    /// The earliest time the next report of progress is passed on.
    private var nextProgress: NIODeadline
    /// When it was offered, and when a receiver accepted it.
    let offeredAt: NIODeadline
    private(set) var acceptedAt: NIODeadline?
    /// Whose half has a token that the other nodes could not be told of: one of them refuses it, and it is no fault of
    /// the client that its half does not come.
    private var hidden: TransferRole?
    let timing: TransferTiming

    /// A transfer that was offered at `now`, while `receivers` were there to be rung.
    ///
    /// The caller has refused the offer if there are none and it does not wait.
    ///
    /// - Parameter expectsOne: whether a receiver is on its way, where none is there.
    static func offered(
        _ offer: ClientMessage.Offer, by sender: SessionID, named name: PeerName, ringing receivers: [SessionID],
        expectsOne: Bool = false, timing: TransferTiming, now: NIODeadline
    ) -> (RelayedTransfer, [TransferAction]) {
        var transfer = RelayedTransfer(offer, by: sender, named: name, timing: timing, now: now)
        guard !receivers.isEmpty || expectsOne else { return (transfer, [.tellOffered(.waiting)]) }
        transfer.state = .ringing(
            offer.payload, rung: receivers.map { Rung(session: $0, hasDeclined: false) }, lastDecline: nil,
            deadline: now + timing.ring
        )
        return (transfer, [.tellOffered(.ringing)] + receivers.map { .ring($0, offer.payload) })
    }

    private init(
        _ offer: ClientMessage.Offer, by sender: SessionID, named name: PeerName, timing: TransferTiming,
        now: NIODeadline
    ) {
        self.id = offer.transfer
        self.sender = sender
        self.senderName = name
        self.offerID = offer.id
        self.recipient = offer.to
        self.waits = offer.wait && offer.request == nil
        self.answers = offer.request
        self.state = .waiting(offer.payload)
        self.nextProgress = now
        self.offeredAt = now
        self.timing = timing
    }

    /// When ``deadlinePassed(now:)`` wants to be called; nil when nothing is timed here.
    var deadline: NIODeadline? {
        switch state {
        case .waiting, .streaming, .ended: nil
        case .ringing(_, rung: _, lastDecline: _, let deadline), .accepted(receiver: _, _, let deadline),
            .parked(receiver: _, let deadline), .confirmed(receiver: _, _, let deadline),
            .streamed(receiver: _, let deadline), .broken(receiver: _, _, let deadline):
            deadline
        }
    }

    /// The session that accepted.
    var receiver: SessionID? {
        switch state {
        case .waiting, .ringing, .ended: nil
        case .accepted(let receiver, _, deadline: _), .parked(let receiver, deadline: _), .streaming(let receiver),
            .confirmed(let receiver, _, deadline: _), .streamed(let receiver, deadline: _),
            .broken(let receiver, _, deadline: _):
            receiver
        }
    }

    /// Every session on the receiving side whose end concerns this transfer.
    var receivingSide: [SessionID] {
        switch state {
        case .ringing(_, let rung, lastDecline: _, deadline: _): rung.map(\.session)
        case .waiting, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            receiver.map { [$0] } ?? []
        }
    }

    /// Whether a session that begins to receive should be rung.
    var isOpenToRing: Bool {
        switch state {
        case .waiting, .ringing: answers == nil
        case .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended: false
        }
    }

    /// Bytes of clients' payloads that are kept for later.
    var heldBytes: Int {
        switch state {
        case .waiting(let payload), .ringing(let payload, rung: _, lastDecline: _, deadline: _),
            .accepted(receiver: _, let payload, deadline: _), .confirmed(receiver: _, let payload, deadline: _):
            payload.rawValue.utf8.count
        case .parked, .streaming, .streamed, .broken, .ended: 0
        }
    }

    /// Ends the transfer with `actions`.
    mutating func end(_ outcome: TransferOutcome, _ actions: [TransferAction]) -> [TransferAction] {
        state = .ended
        return actions + [.end(outcome)]
    }

    /// Ends the transfer because of something the relay found out; both sides are told, except `gone`.
    mutating func fail(_ found: FailureCode, except gone: SessionID? = nil) -> [TransferAction] {
        let code = cause(of: found)
        var actions: [TransferAction] = sender == gone ? [] : [.failSender(code, by: .relay)]
        actions += failPending(code, by: .relay, except: gone)
        if receiver != nil { actions.append(.endStream(.failed(code))) }
        return end(.failed(code), actions)
    }

    /// What is told of a half that does not come.
    func cause(of code: FailureCode) -> FailureCode {
        hidden.map { code == .streamLost(by: $0) } ?? false ? .clusterUnavailable : code
    }

    /// Tells the receiver, or each session that is still ringing.
    func failPending(
        _ code: FailureCode, by party: ServerMessage.Failed.Party, except gone: SessionID? = nil
    ) -> [TransferAction] {
        let pending: [SessionID]
        switch state {
        case .ringing(_, let rung, lastDecline: _, deadline: _):
            pending = rung.filter { !$0.hasDeclined }.map(\.session)
        case .waiting, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended: pending = receivingSide
        }
        return pending.filter { $0 != gone }.map { .failReceiver($0, code, by: party) }
    }
}

// MARK: - What sessions do to a transfer

extension RelayedTransfer {
    /// A session of the recipient's name wants to be rung.
    mutating func sessionReceiving(_ session: SessionID, now: NIODeadline) -> [TransferAction] {
        // Offering to one's own name rings the other sessions of that name.
        guard session != sender else { return [] }
        switch state {
        case .waiting(let payload):
            state = .ringing(
                payload, rung: [Rung(session: session, hasDeclined: false)], lastDecline: nil,
                deadline: now + timing.ring
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

    /// The receiver that was on its way when the transfer was offered has not come.
    mutating func receiverHasNotCome() -> [TransferAction] {
        guard case .ringing(_, let rung, lastDecline: _, deadline: _) = state, rung.isEmpty else { return [] }
        return endIfNoReceiverCanAnswer()
    }

    /// `session` takes the transfer; the first one gets it.
    mutating func accepted(
        by session: SessionID, request: RequestID, payload: Payload, now: NIODeadline
    ) -> [TransferAction] {
        switch state {
        case .ringing(_, let rung, lastDecline: _, deadline: _)
        where rung.contains(Rung(session: session, hasDeclined: false)):
            let others = failPending(.acceptedElsewhere, by: .relay, except: session)
            state = .accepted(receiver: session, payload, deadline: now + timing.claim)
            acceptedAt = now
            return [.startDownload(session, request), .tellOffered(.accepted)] + others
        case .waiting, .ringing, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// `session` does not want the transfer.
    mutating func declined(
        by session: SessionID, request: RequestID, code: FailureCode
    ) -> [TransferAction] {
        switch state {
        case .ringing(let payload, var rung, lastDecline: _, let deadline):
            guard let index = rung.firstIndex(of: Rung(session: session, hasDeclined: false)) else {
                return [.refuse(session, request, .unknownTransfer)]
            }
            rung[index].hasDeclined = true
            state = .ringing(payload, rung: rung, lastDecline: code, deadline: deadline)
            return [.answer(session, request)] + endIfNoReceiverCanAnswer()
        case .waiting, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// `session`, on either side, ends the transfer.
    mutating func cancelled(
        by session: SessionID, request: RequestID, code said: FailureCode
    ) -> [TransferAction] {
        switch state {
        // Nothing can be called off any more: the receiver has it, and the sender is about to hear so.
        case .confirmed, .ended: return [.refuse(session, request, .unknownTransfer)]
        case .waiting, .ringing, .accepted, .parked, .streaming, .streamed, .broken: break
        }
        let role: TransferRole? = session == sender ? .upload : session == receiver ? .download : nil
        let isLoss = role.map { said == .streamLost(by: $0) } ?? false
        guard isLoss || said.isClients else { return [.refuse(session, request, .badMessage)] }
        let code = cause(of: said)
        let abort: [TransferAction] = receiver == nil ? [] : [.endStream(.failed(code))]
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
    mutating func progressed(by session: SessionID, bytes: UInt64, now: NIODeadline) -> [TransferAction] {
        switch state {
        case .waiting, .ringing, .broken, .ended: return []
        case .accepted, .parked, .streaming, .confirmed, .streamed:
            guard session == receiver, now >= nextProgress else { return [] }
            nextProgress = now + timing.progress
            return [.tellProgress(bytes: bytes)]
        }
    }

    /// One of the two clients, once one has accepted, has something for the other.
    func noted(by session: SessionID, request: RequestID, payload: Payload) -> [TransferAction] {
        guard let receiver, session == sender || session == receiver else {
            return [.refuse(session, request, .unknownTransfer)]
        }
        return session == sender ? [.noteToReceiver(receiver, payload)] : [.tellNote(payload)]
    }

    /// The receiver says that everything is verified and stored.
    ///
    /// Its word is enough in each state from `accepted` on: a receiver that already has everything need not wait for a
    /// stream. Only when the sender may be uploading is the end of the stream awaited, so that it is not cut.
    mutating func delivered(
        by session: SessionID, request: RequestID, payload: Payload, now: NIODeadline
    ) -> [TransferAction] {
        guard session == receiver else { return [.refuse(session, request, .unknownTransfer)] }
        switch state {
        case .accepted:
            return end(
                .delivered, [.answer(session, request), .tellDelivered(payload), .endStream(.delivered)])
        case .parked, .streaming:
            state = .confirmed(receiver: session, payload, deadline: now + timing.straggler)
            return [.answer(session, request)]
        // A receiver that has everything may close its stream before the byte path is done with it.
        case .streamed: return end(.delivered, [.answer(session, request), .tellDelivered(payload)])
        case .broken:
            return end(.delivered, [.answer(session, request), .tellDelivered(payload), .endStream(.delivered)])
        case .waiting, .ringing, .confirmed, .ended: return [.refuse(session, request, .unknownTransfer)]
        }
    }

    /// The relay's operator ends it.
    mutating func stopped() -> [TransferAction] {
        switch state {
        case .waiting, .ringing, .accepted, .parked, .streaming, .streamed, .broken: fail(.endedByOperator)
        // What the receiver came for is done.
        case .confirmed, .ended: []
        }
    }

    /// A session's connection is gone.
    ///
    /// - Parameter why: when it is its node that goes, the client is probably still there, and worth another try.
    mutating func sessionClosed(_ session: SessionID, _ why: SessionEnd = .closed) -> [TransferAction] {
        switch state {
        case .waiting: return session == sender ? fail(why.cause(of: .upload), except: session) : []
        case .ringing(let payload, var rung, let lastDecline, let deadline):
            if session == sender { return fail(why.cause(of: .upload), except: session) }
            guard let index = rung.firstIndex(where: { $0.session == session }) else { return [] }
            rung.remove(at: index)
            state = .ringing(payload, rung: rung, lastDecline: lastDecline, deadline: deadline)
            return endIfNoReceiverCanAnswer(otherwise: why == .closed ? nil : why.cause(of: .download))
        case .accepted, .parked, .streaming, .streamed:
            if session == sender { return fail(why.cause(of: .upload), except: session) }
            return session == receiver ? fail(why.cause(of: .download), except: session) : []
        case .broken(let receiver, let cause, deadline: _):
            guard session == sender || session == receiver else { return [] }
            return fail(why == .closed ? cause : why.cause(of: .download), except: session)
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
    /// - Parameter code: what a sender that does not wait is told when no session has declined, if there is a better
    ///   reason than that none is there.
    private mutating func endIfNoReceiverCanAnswer(otherwise code: FailureCode? = nil) -> [TransferAction] {
        guard case .ringing(let payload, let rung, let lastDecline, deadline: _) = state,
            rung.allSatisfy(\.hasDeclined)
        else { return [] }
        if let lastDecline { return end(.failed(lastDecline), [.failSender(lastDecline, by: .peer)]) }
        guard waits else { return fail(code ?? (answers == nil ? .peerOffline : .unknownRequest)) }
        state = .waiting(payload)
        return [.tellOffered(.waiting)]
    }
}

// MARK: - What the byte path and the clock do to a transfer

extension RelayedTransfer {
    /// The receiver's request is held, waiting for the sender's.
    mutating func downloadParked(now: NIODeadline) -> [TransferAction] {
        switch state {
        case .accepted(let receiver, let payload, deadline: _):
            hidden = nil
            state = .parked(receiver: receiver, deadline: now + timing.attach)
            return [.startUpload(payload)]
        case .waiting, .ringing, .parked, .streaming, .confirmed, .streamed, .broken, .ended: return []
        }
    }

    /// The other nodes could not be told of the token that has just been made.
    mutating func tokenStaysHidden() -> [TransferAction] {
        switch state {
        case .accepted: hidden = .download
        case .parked: hidden = .upload
        case .waiting, .ringing, .streaming, .confirmed, .streamed, .broken, .ended: break
        }
        return []
    }

    /// Both halves are joined.
    mutating func streamJoined() -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _):
            hidden = nil
            state = .streaming(receiver: receiver)
            return []
        case .waiting, .ringing, .accepted, .streaming, .confirmed, .streamed, .broken, .ended: return []
        }
    }

    /// Every byte was handed to the receiver's connection.
    mutating func streamFinished(now: NIODeadline) -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _), .streaming(let receiver):
            state = .streamed(receiver: receiver, deadline: now + timing.delivery)
            return []
        case .confirmed(receiver: _, let payload, deadline: _): return end(.delivered, [.tellDelivered(payload)])
        case .waiting, .ringing, .accepted, .streamed, .broken, .ended: return []
        }
    }

    /// The stream, or the half of it that was there, ended early.
    ///
    /// An end that goes on purpose says so on its control connection, with a better reason than that it is gone; that
    /// message may be a moment behind.
    mutating func streamCut(_ code: FailureCode, now: NIODeadline) -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _) where code == .senderGone || code == .receiverGone,
            .streaming(let receiver) where code == .senderGone || code == .receiverGone:
            state = .broken(receiver: receiver, code, deadline: now + timing.explanation)
            return []
        case .accepted, .parked, .streaming: return fail(code)
        // What the sender's node has found, behind what that looked like from the receiver's.
        case .broken where code == .malformedBody: return fail(code)
        // The receiver has everything: what broke was only the way it was being told to stop.
        case .confirmed(receiver: _, let payload, deadline: _):
            return end(.delivered, [.tellDelivered(payload), .endStream(.delivered)])
        // A half that is gone with its node was cut by that, and not by its client.
        case .broken where code != .senderGone && code != .receiverGone && code != .stalled: return fail(code)
        case .waiting, .ringing, .streamed, .broken, .ended: return []
        }
    }

    /// ``deadline`` may have passed.
    mutating func deadlinePassed(now: NIODeadline) -> [TransferAction] {
        guard let deadline, now >= deadline else { return [] }
        switch state {
        case .ringing, .accepted, .parked, .streamed: return fail(.expired)
        case .confirmed(receiver: _, let payload, deadline: _):
            return end(.delivered, [.tellDelivered(payload), .endStream(.delivered)])
        case .broken(receiver: _, let code, deadline: _): return fail(code)
        case .waiting, .streaming, .ended: return []
        }
    }
}

/// How long a transfer may stay in each of its states.
package struct TransferTiming: Hashable, Sendable {
    /// From the first ring to an accept.
    package var ring: TimeAmount
    /// From the receiver's token to its request.
    package var claim: TimeAmount
    /// From the receiver's request to the sender's.
    package var attach: TimeAmount
    /// From the last byte to the receiver's `delivered`.
    package var delivery: TimeAmount
    /// From a `delivered` that overtook the end of the stream to that end.
    var straggler: TimeAmount
    /// From a cut of the stream to the verdict: the client that cut it may say why.
    package var explanation: TimeAmount
    /// Between two reports of progress that are passed on.
    package var progress: TimeAmount
}
