// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// One transfer as its sender sees it, from the offer to the receiver's word that everything is stored.
///
/// Pure: events and the time go in, actions come out, to be run in their order. The owner calls
/// ``deadlinePassed(now:)`` at ``deadline``. There is exactly one ``Action/report(_:)``, and nothing after it.
package struct SendMachine: Hashable, Sendable {
    /// What the owner has to do.
    package enum Action: Hashable, Sendable {
        /// Send this over the control connection.
        case send(ClientMessage)
        /// Tell the person how far the offer has come.
        case show(ServerMessage.Offered.State)
        /// Begin the upload; `payload` is that of the receiver's `accept`. To be answered by
        /// ``uploadFinished(_:now:)``.
        case startUpload(token: Token, url: String, payload: Payload?)
        /// Cut the upload; its end need not be told any more.
        case cutStream
        /// It is over.
        case report(Outcome)
    }

    /// How a transfer ended.
    package enum Outcome: Hashable, Sendable {
        /// The receiver says that it has everything. Whether the payload names the digest of what was sent is the
        /// owner's to check.
        case delivered(Payload)
        /// The relay refused the offer.
        case refused(FailureCode)
        /// The other client, or the relay, ended it.
        case failed(FailureCode, by: ServerMessage.Failed.Party)
        /// The upload broke, and the relay did not say why.
        case broken(StreamFailure)
        /// The content could not be read to its end.
        case unreadable
        /// The person ended it.
        case cancelled
        /// The time that the person gave is over.
        case timedOut
        /// The relay did not answer the offer, or the receiver did not confirm the delivery, in time.
        case unanswered
        /// The control connection is gone, and the offer with it.
        case connectionLost
    }

    /// How the upload ended.
    package enum UploadResult: Hashable, Sendable {
        /// With 200: every byte is with the receiver's connection.
        case finished
        case broken(StreamFailure)
        /// The content could not be read to its end; the code tells the other side why.
        case unreadable(FailureCode)
    }

    /// How far the transfer is.
    private enum State: Hashable {
        case idle
        /// The offer is out, without an answer.
        case offering(deadline: NIODeadline)
        /// The relay has the offer; the receiver is to be found, asked, or attached.
        case offered
        case uploading
        /// The upload ended well; the receiver verifies and stores.
        case uploaded(deadline: NIODeadline)
        /// The receiver has confirmed; the upload's own end is still to come.
        case confirmed(Payload, deadline: NIODeadline)
        /// The upload broke; the reason may still come.
        case broken(StreamFailure, deadline: NIODeadline)
        case finished
    }

    private let offer: ClientMessage.Offer
    private let cancelID: RequestID
    private var state: State = .idle

    /// - Parameters:
    ///   - offer: what will be sent; its id and its transfer belong to this machine.
    ///   - cancelID: the id of the `cancel` that this machine may send.
    package init(offer: ClientMessage.Offer, cancelID: RequestID) {
        self.offer = offer
        self.cancelID = cancelID
    }

    /// When ``deadlinePassed(now:)`` has to be called; nil when nothing is waited for that this side bounds.
    package var deadline: NIODeadline? {
        switch state {
        case .offering(let deadline), .uploaded(let deadline), .confirmed(_, let deadline), .broken(_, let deadline):
            deadline
        case .idle, .offered, .uploading, .finished:
            nil
        }
    }

    // MARK: - The owner's wishes

    /// The control connection is logged in: make the offer.
    package mutating func begin(now: NIODeadline) -> [Action] {
        switch state {
        case .idle:
            state = .offering(deadline: now + TransferDefaults.answerTimeout)
            return [.send(.offer(offer))]
        case .offering, .offered, .uploading, .uploaded, .confirmed, .broken, .finished:
            return []
        }
    }

    /// The person wants no more of it.
    package mutating func cancelledByUser() -> [Action] { abandon(.cancelled, telling: .cancelled) }

    /// The time that the person gave is over.
    package mutating func timedOut() -> [Action] { abandon(.timedOut, telling: .timedOut) }

    /// The same content is offered on another connection: this offer is taken back, as if its sender were gone from
    /// there.
    package mutating func withdrawn() -> [Action] { abandon(.cancelled, telling: .streamLost(by: .upload)) }

    private mutating func abandon(_ outcome: Outcome, telling code: FailureCode) -> [Action] {
        switch state {
        case .idle: finish(outcome)
        case .offering, .offered, .uploaded, .broken: finish(outcome, telling: code)
        case .uploading: finish(outcome, telling: code, cutting: true)
        // Too late: the receiver has it.
        case .confirmed(let payload, _): finish(.delivered(payload), cutting: true)
        case .finished: []
        }
    }

    // MARK: - The relay's words

    /// `offered`: where the offer stands.
    package mutating func offered(_ progress: ServerMessage.Offered.State) -> [Action] {
        switch state {
        case .offering, .offered:
            state = .offered
            return [.show(progress)]
        case .idle, .uploading, .uploaded, .confirmed, .broken, .finished:
            return []
        }
    }

    /// `start`: the receiver's stream is attached.
    package mutating func started(token: Token, url: String, payload: Payload?) -> [Action] {
        switch state {
        case .offering, .offered:
            state = .uploading
            return [.startUpload(token: token, url: url, payload: payload)]
        case .idle, .uploading, .uploaded, .confirmed, .broken, .finished:
            return []
        }
    }

    /// `delivered`: the receiver has verified and stored everything. The upload's own end may come before or after.
    package mutating func delivered(_ payload: Payload, now: NIODeadline) -> [Action] {
        switch state {
        case .uploading:
            state = .confirmed(payload, deadline: now + TransferDefaults.answerTimeout)
            return []
        case .uploaded, .broken:
            return finish(.delivered(payload))
        case .offering, .offered:
            // Nothing has been sent that could be delivered.
            return finish(.failed(.protocolError, by: .peer))
        case .idle, .confirmed, .finished:
            return []
        }
    }

    /// `failed`: the other client or the relay ended the transfer.
    package mutating func failed(_ code: FailureCode, by party: ServerMessage.Failed.Party) -> [Action] {
        switch state {
        case .offering, .offered, .uploaded, .broken: finish(.failed(code, by: party))
        case .uploading: finish(.failed(code, by: party), cutting: true)
        case .idle, .confirmed, .finished: []
        }
    }

    /// `error` under the offer's id: the relay refused it.
    package mutating func refused(_ code: FailureCode) -> [Action] {
        switch state {
        case .offering: finish(.refused(code))
        case .idle, .offered, .uploading, .uploaded, .confirmed, .broken, .finished: []
        }
    }

    /// The control connection is gone.
    package mutating func connectionLost() -> [Action] {
        switch state {
        case .idle, .offering, .offered, .uploaded: finish(.connectionLost)
        case .uploading: finish(.connectionLost, cutting: true)
        case .confirmed(let payload, _): finish(.delivered(payload), cutting: true)
        case .broken(let failure, _): finish(.broken(failure))
        case .finished: []
        }
    }

    // MARK: - The stream and the time

    /// The upload has ended. A code that is not a client's is sent as `cannot_read`.
    package mutating func uploadFinished(_ result: UploadResult, now: NIODeadline) -> [Action] {
        switch (state, result) {
        case (.uploading, .finished):
            state = .uploaded(deadline: now + ProtocolDefaults.deliveryTimeout)
            return []
        case (.uploading, .broken(let failure)):
            state = .broken(failure, deadline: now + TransferDefaults.explanationTimeout)
            return []
        case (.uploading, .unreadable(let code)):
            return finish(.unreadable, telling: code.isClients ? code : .cannotRead)
        case (.confirmed(let payload, _), .finished), (.confirmed(let payload, _), .broken):
            return finish(.delivered(payload))
        case (.confirmed, .unreadable):
            // Not everything was sent, so the receiver cannot have everything.
            return finish(.unreadable)
        case (.idle, _), (.offering, _), (.offered, _), (.uploaded, _), (.broken, _), (.finished, _):
            return []
        }
    }

    /// The time is `now`. Harmless when nothing is due. A missing answer is a decision of neither side, and the other
    /// side is told nothing of it: this side may offer the same again.
    package mutating func deadlinePassed(now: NIODeadline) -> [Action] {
        guard let deadline, deadline <= now else { return [] }
        switch state {
        case .offering, .uploaded: return finish(.unanswered)
        case .confirmed(let payload, _): return finish(.delivered(payload), cutting: true)
        case .broken(let failure, _): return finish(.broken(failure), telling: .streamLost(by: .upload))
        case .idle, .offered, .uploading, .finished: return []
        }
    }

    /// Ends it: tells the relay, if it does not know; cuts the upload, if there is one; reports.
    private mutating func finish(
        _ outcome: Outcome, telling code: FailureCode? = nil, cutting: Bool = false
    ) -> [Action] {
        state = .finished
        var actions: [Action] = []
        if let code { actions.append(.send(.cancel(.init(id: cancelID, transfer: offer.transfer, code: code)))) }
        if cutting { actions.append(.cutStream) }
        return actions + [.report(outcome)]
    }
}

extension SendMachine {
    /// Takes a message of the relay, if it is about this transfer; any other does nothing.
    package mutating func received(_ message: ServerMessage, now: NIODeadline) -> [Action] {
        switch message {
        case .offered(let offered) where offered.transfer == offer.transfer:
            self.offered(offered.state)
        case .start(let start) where start.transfer == offer.transfer && start.role == .upload:
            started(token: start.token, url: start.url, payload: start.payload)
        case .delivered(let delivered) where delivered.transfer == offer.transfer:
            self.delivered(delivered.payload, now: now)
        case .failed(let failed) where failed.transfer == offer.transfer:
            self.failed(failed.code, by: failed.by)
        case .error(let refusal) where refusal.id == offer.id:
            refused(refusal.code)
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .note, .delivered, .failed,
            .requested, .refused, .move, .pong, .error:
            []
        }
    }
}
