// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Whether trying again may mend what went wrong: the client's one table of that.
package enum RetryDecision: Hashable, Sendable {
    /// It may be over in a moment, but not before `after`. With `elsewhere`, the next try needs a connection of its
    /// own: this one is gone, or a balancer may choose another node for the next.
    case passing(after: TimeAmount, elsewhere: Bool)
    /// A relay that is just starting or stopping, or no relay at all: worth a few quick tries.
    case doubtful
    /// What the offer was sealed to had changed, or it had been taken before: each try looks it up again, and a few of
    /// them are enough to see whether that helps.
    case outdated
    /// Only the address that was tried is of no use: at once, at the next one.
    case nextAddress
    /// A person has decided it, or has to mend it.
    case final

    /// At once, on another connection.
    package static let elsewhere = RetryDecision.passing(after: .zero, elsewhere: true)

    /// Whether there is more than a doubtful hope.
    package var isPassing: Bool {
        switch self {
        case .passing, .outdated, .nextAddress: true
        case .doubtful, .final: false
        }
    }

    /// Whether the next try is made on the control connection that stands.
    package var keepsConnection: Bool {
        switch self {
        case .passing(_, let elsewhere): !elsewhere
        case .outdated: true
        case .doubtful, .nextAddress, .final: false
        }
    }

    /// What the relay said, in an `error`, a `failed` or the body of an HTTP answer.
    package init(_ code: FailureCode) {
        switch code {
        case .draining, .unavailable, .clusterUnavailable: self = .elsewhere
        case .internalError: self = .passing(after: TransferDefaults.pauseAfterFault, elsewhere: true)
        case .tooManySessions: self = .passing(after: TransferDefaults.pauseWhenLimited, elsewhere: true)
        case .rateLimited, .tooManyTransfers, .tooManyRequests:
            self = .passing(after: TransferDefaults.pauseWhenLimited, elsewhere: false)
        case .badMessage, .unknownType, .notNow, .loginRefused, .nameTaken, .badInvitation, .registrationClosed,
            .unknownPeer, .peerOffline, .unknownTransfer, .transferExists, .acceptedElsewhere, .expired, .senderGone,
            .receiverGone, .stalled, .malformedBody, .declined, .cancelled, .timedOut, .noSpace, .cannotWrite,
            .cannotRead, .sourceChanged, .verificationFailed, .tooLarge, .protocolError, .identityChanged, .badPrekey,
            .staleOffer, .requestExists, .unknownRequest, .notShared, .accountDisabled, .dayLimit, .endedByOperator:
            self = .final
        }
    }

    /// How the relay ended a transfer, or why it did not take one. What only the network, or the relay itself, has
    /// caused may go well the next time, and the control connection is as good as before.
    package init(ending code: FailureCode) {
        switch code {
        case .receiverGone, .senderGone, .stalled, .expired, .unknownTransfer, .transferExists:
            self = .passing(after: .zero, elsewhere: false)
        case .badMessage, .unknownType, .notNow, .rateLimited, .loginRefused, .nameTaken, .badInvitation,
            .registrationClosed, .accountDisabled, .tooManySessions, .unknownPeer, .peerOffline, .tooManyTransfers,
            .dayLimit, .requestExists, .unknownRequest, .draining, .unavailable, .clusterUnavailable, .internalError,
            .acceptedElsewhere, .malformedBody, .endedByOperator, .declined, .cancelled, .timedOut, .noSpace,
            .cannotWrite, .cannotRead, .sourceChanged, .verificationFailed, .tooLarge, .protocolError,
            .identityChanged, .badPrekey, .staleOffer, .notShared, .tooManyRequests:
            self.init(code)
        }
    }

    /// There is no control connection, or no data connection.
    ///
    /// - Parameter hasWorked: whether this program was logged in before. If not, the address may simply be wrong, and
    ///   only a relay that answers, and says that it cannot now, is worth waiting for.
    package init(_ error: ConnectionError, hasWorked: Bool) {
        // What refuses between here and a relay that has worked (a proxy, a portal with a certificate of its own) is of
        // the network, and may be gone. Nothing is said to it, and no certificate is taken that would not be taken at
        // first.
        let isOnTheWay = hasWorked && [.proxy, .tls, .certificate, .webSocket].contains(error.step)
        guard error.isTemporary || isOnTheWay else {
            self = .final
            return
        }
        let said = error.code.map { RetryDecision($0) }
        switch (hasWorked, said) {
        case (true, .passing?): self = said ?? .elsewhere
        case (true, _): self = .elsewhere
        // The user has to close another session of this name: waiting does not help.
        case (false, .passing?) where error.code != .tooManySessions: self = said ?? .elsewhere
        case (false, _):
            switch error.step {
            case .tls, .webSocket, .session: self = .doubtful
            case .login: self = error.code == nil ? .doubtful : .final
            case .settings, .dns, .tcp, .proxy, .certificate: self = .final
            }
        }
    }

    /// One half of a transfer could not be opened. A token that was not claimed stays good until it expires, so nothing
    /// is lost by asking again where the request was never sent, or was answered by `503`.
    ///
    /// - Parameter isLast: whether there is no other address.
    package init(opening error: StreamError, isLast: Bool) {
        switch error {
        // Nothing was sent there, and what is wrong with that address need not be wrong with the next one.
        case .connection where !isLast: self = .nextAddress
        case .connection(let cause): self = RetryDecision(cause, hasWorked: true).isPassing ? .elsewhere : .final
        case .refused(let answer) where Self.isBusy(answer):
            self = .passing(after: min(answer.retryAfter ?? .zero, TransferDefaults.longestPause), elsewhere: true)
        case .refused, .cut, .silent, .badAddress: self = .final
        }
    }

    /// Whether the relay, or a balancer before it, only cannot do it now.
    private static func isBusy(_ answer: HTTPResponse) -> Bool {
        guard let code = answer.code else { return answer.status == 503 || answer.status == 502 }
        return answer.status == 503 && RetryDecision(code).isPassing
    }

    /// A data stream broke, and the relay gave no reason of its own.
    package init(_ failure: StreamFailure, cause: StreamError?) {
        switch (failure, cause) {
        case (.cut, .connection(let error)?): self.init(error, hasWorked: true)
        case (.cut, _): self = .elsewhere
        case (.refused(_, let code?), _): self.init(ending: code)
        // The token came too late, or the relay has been started again since: a new offer brings another.
        case (.refused(status: 403, nil), _): self = .passing(after: .zero, elsewhere: false)
        // It is not the relay that has answered.
        case (.refused(_, nil), _): self = .elsewhere
        }
    }

    /// How a transfer ended for its sender.
    ///
    /// - Parameter lost: why the control connection ended, if it did.
    package init(_ outcome: SendMachine.Outcome, stream: StreamError?, lost: ConnectionError?) {
        switch outcome {
        case .connectionLost: self = lost.map { RetryDecision($0, hasWorked: true) } ?? .elsewhere
        // A relay that stops cuts streams for reasons that are none: what counts is that it is gone.
        case .broken(let failure):
            self = lost.map { RetryDecision($0, hasWorked: true) } ?? RetryDecision(failure, cause: stream)
        case .refused(let code), .failed(let code, by: .relay): self.init(ending: code)
        // A relay that is not heard may be heard through another connection.
        case .unanswered: self = .elsewhere
        // An offer that another session of the same profile has taken is out of date in this one.
        case .failed(.badPrekey, by: .peer), .failed(.staleOffer, by: .peer): self = .outdated
        case .delivered, .failed(_, by: .peer), .unreadable, .cancelled, .timedOut: self = .final
        }
    }

    /// How a transfer ended for its receiver. What passes is an interruption: the sender goes on trying, and the same
    /// offer comes again.
    ///
    /// - Parameter lost: why the control connection ended, if it did.
    package init(_ outcome: ReceiveMachine.Outcome, stream: StreamError?, lost: ConnectionError?) {
        switch outcome {
        case .connectionLost: self = lost.map { RetryDecision($0, hasWorked: true) } ?? .elsewhere
        case .broken(let failure):
            self = lost.map { RetryDecision($0, hasWorked: true) } ?? RetryDecision(failure, cause: stream)
        case .refused(let code), .failed(let code, by: .relay): self.init(ending: code)
        case .unanswered: self = .elsewhere
        case .received, .declined, .failed(_, by: .peer), .notStored, .cancelled: self = .final
        }
    }
}
