// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// One transfer as the relay sees it (sections 1.6 to 1.8 of the protocol): from the offer to `delivered` or `failed`.
///
///     waiting <-> ringing -> accepted -> parked -> streaming -> streamed -> ended
///                                          \______ confirmed ______/
///
/// `confirmed` is there because the receiver's `delivered` and the byte path's report of the last byte come by different
/// threads: either may be first. A stream that was cut goes from `streaming` to `broken` for a moment, because the
/// client that cut it may be about to say why. Any state may go to `ended`.
package struct RelayedTransfer: Sendable {
    /// A session that was rung.
    package struct Rung: Hashable, Sendable {
        package var session: SessionID
        package var hasDeclined: Bool
    }

    /// Where the transfer is.
    package enum State: Hashable, Sendable {
        /// No session is there to be rung.
        case waiting(Payload)
        /// At least one session has been rung, and not all of them declined. `lastDecline` is the last decliner's code.
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

    package let id: TransferID
    package let sender: SessionID
    /// Everything that the sender hears goes under this id.
    package let offerID: RequestID
    /// Whose sessions are rung.
    package let recipient: PeerName
    /// Whether the offer stays when no session is there to be rung.
    package let waits: Bool
    package internal(set) var state: State
    /// The earliest time the next report of progress is passed on.
    var nextProgress: NIODeadline
    package let timers: TransferTiming

    /// A transfer that was offered at `now`, while `receivers` were there to be rung.
    ///
    /// The caller has refused the offer if there are none and it does not wait.
    package static func offered(
        _ offer: ClientMessage.Offer, by sender: SessionID, ringing receivers: [SessionID], timers: TransferTiming,
        now: NIODeadline
    ) -> (RelayedTransfer, [TransferAction]) {
        var transfer = RelayedTransfer(offer, by: sender, timers: timers, now: now)
        guard !receivers.isEmpty else { return (transfer, [.tellOffered(.waiting)]) }
        transfer.state = .ringing(
            offer.payload, rung: receivers.map { Rung(session: $0, hasDeclined: false) }, lastDecline: nil,
            deadline: now + timers.ring
        )
        return (transfer, [.tellOffered(.ringing)] + receivers.map { .ring($0, offer.payload) })
    }

    private init(_ offer: ClientMessage.Offer, by sender: SessionID, timers: TransferTiming, now: NIODeadline) {
        self.id = offer.transfer
        self.sender = sender
        self.offerID = offer.id
        self.recipient = offer.to
        self.waits = offer.wait
        self.state = .waiting(offer.payload)
        self.nextProgress = now
        self.timers = timers
    }

    /// When ``deadlinePassed(now:)`` wants to be called; nil when nothing is timed here.
    package var deadline: NIODeadline? {
        switch state {
        case .waiting, .streaming, .ended: nil
        case .ringing(_, rung: _, lastDecline: _, let deadline), .accepted(receiver: _, _, let deadline),
            .parked(receiver: _, let deadline), .confirmed(receiver: _, _, let deadline),
            .streamed(receiver: _, let deadline), .broken(receiver: _, _, let deadline):
            deadline
        }
    }

    /// The session that accepted.
    package var receiver: SessionID? {
        switch state {
        case .waiting, .ringing, .ended: nil
        case .accepted(let receiver, _, deadline: _), .parked(let receiver, deadline: _), .streaming(let receiver),
            .confirmed(let receiver, _, deadline: _), .streamed(let receiver, deadline: _),
            .broken(let receiver, _, deadline: _):
            receiver
        }
    }

    /// Every session on the receiving side whose end concerns this transfer.
    package var receivingSide: [SessionID] {
        switch state {
        case .ringing(_, let rung, lastDecline: _, deadline: _): rung.map(\.session)
        case .waiting, .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended:
            receiver.map { [$0] } ?? []
        }
    }

    /// Whether a session that begins to receive should be rung.
    package var isOpenToRing: Bool {
        switch state {
        case .waiting, .ringing: true
        case .accepted, .parked, .streaming, .confirmed, .streamed, .broken, .ended: false
        }
    }

    /// Bytes of clients' payloads that are kept for later.
    package var heldBytes: Int {
        switch state {
        case .waiting(let payload), .ringing(let payload, rung: _, lastDecline: _, deadline: _),
            .accepted(receiver: _, let payload, deadline: _), .confirmed(receiver: _, let payload, deadline: _):
            payload.rawValue.utf8.count
        case .parked, .streaming, .streamed, .broken, .ended: 0
        }
    }

    /// Ends the transfer with `actions`.
    package mutating func end(_ outcome: TransferOutcome, _ actions: [TransferAction]) -> [TransferAction] {
        state = .ended
        return actions + [.end(outcome)]
    }

    /// Ends the transfer because of something the relay found out; both sides are told, except `gone`.
    package mutating func fail(_ code: FailureCode, except gone: SessionID? = nil) -> [TransferAction] {
        var actions: [TransferAction] = sender == gone ? [] : [.failSender(code, by: .relay)]
        actions += failPending(code, by: .relay, except: gone)
        if receiver != nil { actions.append(.endStream(.failed(code))) }
        return end(.failed(code), actions)
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
