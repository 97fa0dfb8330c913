// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// What is known about the way one try to send went.
package struct AttemptResult: Sendable {
    /// Why the upload failed, in more detail than the outcome has.
    package var cause: ClientError?
    /// Why the control connection ended, if it did.
    package var lost: ConnectionError?
    /// What the relay said when it refused the offer, for a person; nil when it said nothing.
    package var said: String?
    /// Whether the relay took the offer.
    package var isTaken = false
    /// Whether the receiver was there, and was asked.
    package var hasRung = false
    /// Whether the receiver accepted.
    package var isAccepted = false
    /// Whether the receiver's stream was with the relay, which asked for this side's.
    package var isAttached = false
    /// Whether bytes began to flow.
    package var hasStarted = false

    package init() {}
}

/// Why one try did not deliver, what to do about it, and in what words.
package struct AttemptFailure: Sendable {
    /// What is known about the transfer besides its last try.
    package struct Transfer: Sendable {
        package let peer: PeerName
        package let relay: String
        /// The whole time that the person gave.
        package let patience: TimeAmount
        /// What went wrong before this try, where nothing has gone well since.
        package let reason: String?
        /// Whether the receiver has been waited for as long as it may be.
        package let hasMissedReceiver: Bool
        /// Whether the receiver has accepted it in this try or in an earlier one.
        package let wasAccepted: Bool
        /// Whether all of it was sent in this try or in an earlier one.
        package let isAllSent: Bool
        /// Whether a later run can send the same again.
        package let isRepeatable: Bool

        package init(
            peer: PeerName, relay: String, patience: TimeAmount, reason: String? = nil, hasMissedReceiver: Bool = false,
            wasAccepted: Bool = false, isAllSent: Bool = false, isRepeatable: Bool = true
        ) {
            self.peer = peer
            self.relay = relay
            self.patience = patience
            self.reason = reason
            self.hasMissedReceiver = hasMissedReceiver
            self.wasAccepted = wasAccepted
            self.isAllSent = isAllSent
            self.isRepeatable = isRepeatable
        }
    }

    package let decision: RetryDecision
    /// What to tell when there is no other try.
    package let error: ClientError
    /// What to tell while there is another try.
    package let reason: String
    /// What is done about it while there is one, where it is about this content alone and the relay does what it is
    /// asked.
    package let next: String?

    /// How one try of `transfer` ended.
    package init(_ outcome: SendMachine.Outcome, _ result: AttemptResult, of transfer: Transfer) {
        decision = RetryDecision(outcome, stream: result.cause?.stream, lost: result.lost)
        error = Self.error(outcome, result, of: transfer)
        guard decision.keepsConnection, case .transfer(let failure) = error else {
            reason = result.lost?.summary ?? result.cause?.stream?.summary ?? Self.reason(outcome)
            next = nil
            return
        }
        reason = failure.what
        next = failure.code == .receiverGone ? "sending again as soon as \(transfer.peer) is back" : "sending again"
    }

    /// The time that the person gave is over.
    ///
    /// - Parameter reason: what went wrong last.
    package static func gaveUp(on transfer: Transfer, _ reason: String) -> ClientError {
        late(transfer, "gave up after \(description(of: transfer.patience)): \(reason)")
    }

    /// All of it was sent, and there is no further try: the receiver may have stored it. A command that is run again
    /// goes on with the same transfer, but what came from a pipe would be another one, and a second file.
    ///
    /// - Parameters:
    ///   - reason: why there is no further try.
    ///   - isRepeatable: whether a later run can send the same again.
    package static func unconfirmed(
        by peer: PeerName, _ reason: String, _ status: ExitStatus, isRepeatable: Bool
    ) -> ClientError {
        let (what, advice) = unconfirmed(by: peer, isRepeatable: isRepeatable)
        return .command("\(reason); \(what); \(advice)", status)
    }

    private static func unconfirmed(by peer: PeerName, isRepeatable: Bool) -> (what: String, advice: String) {
        (
            "everything was sent, and \(peer) has not confirmed it",
            isRepeatable
                ? "the same send asks again, and sends only what is missing there"
                : "ask \(peer) whether it is there before you send it again"
        )
    }

    /// `amount`, rounded to what a person reckons with.
    package static func description(of amount: TimeAmount) -> String {
        let milliseconds = max(0, amount.nanoseconds) / 1_000_000
        if milliseconds > 0, milliseconds < 500 { return "\(milliseconds) ms" }
        let seconds = (milliseconds + 999) / 1_000
        return seconds < 120 ? "\(seconds) s" : "\((seconds + 59) / 60) min"
    }

    private static func reason(_ outcome: SendMachine.Outcome) -> String {
        switch outcome {
        case .refused(let code), .failed(let code, by: _): code.message
        case .unanswered: "the relay does not answer"
        case .delivered, .broken, .unreadable, .cancelled, .timedOut, .connectionLost:
            "the connection to the relay was lost"
        }
    }

    private static func error(
        _ outcome: SendMachine.Outcome, _ result: AttemptResult, of transfer: Transfer
    ) -> ClientError {
        let peer = transfer.peer
        let absence = transfer.wasAccepted ? "did not come back in time" : "was not receiving in time"
        func failure(_ code: FailureCode) -> ClientError {
            .transfer(TransferFailure(code, side: .sender, peer: peer, said: result.said))
        }
        switch outcome {
        case .delivered: return failure(.verificationFailed)
        case .refused(.peerOffline) where transfer.hasMissedReceiver: return late(transfer, "\(peer) \(absence)")
        // The relay waits for one stream at a time: first for the receiver's.
        case .failed(.expired, by: .relay) where result.isAttached:
            return .transfer(.ownLateness(.sender, peer: peer))
        case .failed(.expired, by: .relay) where result.isAccepted:
            return .transfer(
                TransferFailure(code: .expired, "\(peer) accepted, and did not take it in time", "send it again"))
        case .refused(let code), .failed(let code, by: _): return failure(code)
        case .broken(.cut):
            if case .connection(let error)? = result.cause?.stream { return .connection(error) }
            return failure(.senderGone)
        case .broken(.refused(_, let code)): return failure(code ?? .internalError)
        case .unreadable: return result.cause ?? failure(.cannotRead)
        case .timedOut where !result.isTaken:
            return gaveUp(on: transfer, transfer.reason ?? "\(transfer.relay) had not answered yet")
        case .timedOut where result.isAccepted:
            return late(transfer, "\(peer) accepted, but no bytes could be sent in time")
        case .timedOut where !result.hasRung: return late(transfer, "\(peer) \(absence)")
        case .timedOut: return late(transfer, "\(peer) did not accept in time")
        case .cancelled: return .interrupted
        case .unanswered: return failure(.unavailable)
        case .connectionLost: return result.lost.map(ClientError.connection) ?? failure(.senderGone)
        }
    }

    private static func late(_ transfer: Transfer, _ what: String) -> ClientError {
        let (what, advice) =
            transfer.isAllSent
            ? unconfirmed(by: transfer.peer, isRepeatable: transfer.isRepeatable)
            : (what, "try again, or with a longer --timeout")
        return .transfer(TransferFailure(code: .timedOut, what, advice))
    }
}

extension ClientError {
    /// Why a transfer did not come to its end for its receiver.
    ///
    /// - Parameter cause: what is known in more detail than the outcome has.
    package init(receiving outcome: ReceiveMachine.Outcome, cause: ClientError?, from peer: PeerName) {
        func failure(_ code: FailureCode) -> ClientError {
            .transfer(TransferFailure(code, side: .receiver, peer: peer))
        }
        self =
            switch (outcome, cause) {
            case (.declined, .file?), (.notStored, .file?): cause ?? failure(.cannotWrite)
            case (.notStored(.protocolError), .sealing(let error)?): .transfer(.breach(by: peer, error))
            // This side knows better why it declined, what the relay said, and who was late.
            case (.declined(let code), .transfer(let known)?) where known.code == code: .transfer(known)
            case (.refused(let code), .transfer(let known)?) where known.code == code: .transfer(known)
            case (.declined(let code), _), (.notStored(let code), _): failure(code)
            case (.failed(let code, by: .relay), .transfer(let known)?) where known.code == code: .transfer(known)
            case (.refused(let code), _), (.failed(let code, by: _), _): failure(code)
            case (.broken(.refused(_, let code)), _): failure(code ?? .receiverGone)
            case (.broken(.cut), .stream(.connection(let error))?): .connection(error)
            case (.broken(.cut), _): failure(.receiverGone)
            case (.unanswered, _): failure(.unavailable)
            case (.connectionLost, _), (.received, _): cause ?? failure(.receiverGone)
            case (.cancelled, _): .interrupted
            }
    }
}
