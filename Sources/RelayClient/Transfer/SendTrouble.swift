// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Why one try did not deliver, what to do about it, and in what words.
struct SendTrouble {
    var prospect: Prospect
    /// What to tell when there is no other try.
    var error: any Error
    /// The same while there is one.
    var reason: String
    /// What is done about it while there is one, where it is about this content alone and the relay does what it is asked.
    var next: String?

    /// How one try of `job` ended.
    ///
    /// - Parameters:
    ///   - reason: what went wrong before this try, where nothing has gone well since.
    ///   - isAbsent: whether the receiver has been waited for as long as it may be.
    ///   - wasAccepted: whether the receiver has accepted it in this try or in an earlier one.
    ///   - patience: the whole time that the person gave.
    init(
        _ outcome: SendMachine.Outcome, _ result: SendAttempt.Result, of job: SendJob, after reason: String?,
        isAbsent: Bool, wasAccepted: Bool, patience: TimeAmount, relay: RelayURL
    ) {
        prospect = Prospect(outcome, stream: result.cause as? StreamError, lost: result.lost)
        error = Self.error(
            outcome, result, of: job, after: reason, isAbsent: isAbsent, wasAccepted: wasAccepted, patience: patience,
            relay: relay)
        self.reason = result.lost?.summary ?? (result.cause as? StreamError)?.summary ?? Self.reason(outcome)
        guard case .passing(_, elsewhere: false) = prospect, let failure = error as? TransferFailure else { return }
        self.reason = failure.what
        next = failure.code == .receiverGone ? "sending again as soon as \(job.peer) is back" : "sending again"
    }

    /// The time that the person gave is over.
    ///
    /// - Parameter reason: what went wrong last.
    static func gaveUp(_ patience: TimeAmount, _ reason: String) -> TransferFailure {
        TransferFailure(
            code: .timedOut, "gave up after \(words(patience)): \(reason)", "try again, or with a longer --timeout"
        )
    }

    /// `amount`, rounded to what a person reckons with.
    static func words(_ amount: TimeAmount) -> String {
        let milliseconds = max(0, amount.nanoseconds) / 1_000_000
        if milliseconds > 0, milliseconds < 500 { return "\(milliseconds) ms" }
        let seconds = (milliseconds + 999) / 1_000
        return seconds < 120 ? "\(seconds) s" : "\((seconds + 59) / 60) min"
    }

    private static func reason(_ outcome: SendMachine.Outcome) -> String {
        switch outcome {
        case .refused(let code), .failed(let code, by: _): code.sentence
        case .unanswered: "the relay does not answer"
        case .delivered, .broken, .unreadable, .cancelled, .timedOut, .connectionLost:
            "the connection to the relay was lost"
        }
    }

    private static func error(
        _ outcome: SendMachine.Outcome, _ result: SendAttempt.Result, of job: SendJob, after reason: String?,
        isAbsent: Bool, wasAccepted: Bool, patience: TimeAmount, relay: RelayURL
    ) -> any Error {
        let peer = job.peer
        let absence = wasAccepted ? "did not come back in time" : "was not receiving in time"
        switch outcome {
        case .delivered: return TransferFailure(.verificationFailed, side: .sender, peer: peer)
        case .refused(.peerOffline) where isAbsent: return late("\(peer) \(absence)")
        case .refused(let code), .failed(let code, by: _): return TransferFailure(code, side: .sender, peer: peer)
        case .broken(.cut):
            if case .connection(let error)? = result.cause as? StreamError { return error }
            return TransferFailure(.senderGone, side: .sender, peer: peer)
        case .broken(.refused(_, let code)):
            return TransferFailure(code ?? .internalError, side: .sender, peer: peer)
        case .unreadable: return result.cause ?? TransferFailure(.cannotRead, side: .sender, peer: peer)
        case .timedOut where !result.isTaken: return gaveUp(patience, reason ?? "\(relay) had not answered yet")
        case .timedOut where result.isAccepted:
            return late("\(peer) accepted, but no bytes could be sent in time")
        case .timedOut where !result.hasRung: return late("\(peer) \(absence)")
        case .timedOut: return late("\(peer) did not accept in time")
        case .cancelled: return CancellationError()
        case .unanswered: return TransferFailure(.unavailable, side: .sender, peer: peer)
        case .connectionLost: return result.lost ?? TransferFailure(.senderGone, side: .sender, peer: peer)
        }
    }

    private static func late(_ what: String) -> TransferFailure {
        TransferFailure(code: .timedOut, what, "try again, or with a longer --timeout")
    }
}
