// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The delivery of one content to one receiver, over all its attempts: what has to come before the next one, and
/// whether there is one. Each attempt has a ``SendMachine`` of its own. Pure: events and the time go in, what follows
/// from them comes out.
package struct DeliveryMachine: Hashable, Sendable {
    /// How far it is.
    package enum State: Hashable, Sendable {
        /// It may be offered from then on, at once where that is nil; unless it is checked, it is looked first whether
        /// it is still what it was.
        case waiting(until: NIODeadline?, isChecked: Bool)
        /// It is looked whether it is still what it was.
        case rechecking
        /// It is not, and is looked at once more, to be sent as another transfer.
        case rescanning
        /// An attempt goes on.
        case offered
        /// An attempt goes on, and it is the last: others who read the same input have waited for this receiver too
        /// long.
        case dropped
        /// There is no further attempt.
        case over
    }

    /// What follows the failure of an attempt.
    package enum Verdict: Hashable, Sendable {
        /// There is another one; `isNews` unless the one before failed for the same reason.
        case tryAgain(isNews: Bool)
        /// It might pass, but not in the time that there is.
        case giveUp
        /// It might pass, but the content cannot be read a second time.
        case unrepeatable
        /// Trying again is no use.
        case fail
    }

    package private(set) var state = State.waiting(until: nil, isChecked: true)
    /// Whether its offer may wait for a receiver who is not there.
    package private(set) var waits: Bool
    /// Whether the receiver has accepted it in any attempt.
    package private(set) var isAccepted = false
    /// Whether the receiver has accepted it, or what it was before it changed, and waits for it.
    package private(set) var isAwaited = false
    /// What went wrong last, where nothing has gone well since.
    package private(set) var reason: String?
    private let patience: TimeAmount
    private var retry: RetryMachine
    /// How often it has begun again because it was changed meanwhile.
    private var restarts = 0
    /// What was sent whole may be stored, and is not another content because its source is.
    private var isAllSent = false

    /// - Parameters:
    ///   - waits: whether its offer may wait for a receiver who is not there.
    ///   - patience: how long to go on without bytes flowing.
    package init(waits: Bool, patience: TimeAmount, now: NIODeadline) {
        self.waits = waits
        self.patience = patience
        retry = RetryMachine(patience: patience, now: now)
    }

    /// When it is given up unless bytes flow; nil while they do.
    package var giveUpAt: NIODeadline? { retry.deadline }

    /// When ``deadlinePassed(isReceiverBusy:now:)`` has to be called; nil when nothing is due.
    package var deadline: NIODeadline? {
        let offer: NIODeadline? = if case .waiting(let until, _) = state { until } else { nil }
        return [retry.deadline, offer].compactMap(\.self).min()
    }

    /// Whether bytes flow.
    package var isStreaming: Bool { retry.state == .streaming }

    /// Whether it waits to be offered, or checked, and nothing but the relay is missing.
    package func isDue(now: NIODeadline) -> Bool {
        if case .waiting(let until, _) = state { until.map { $0 <= now } ?? true } else { false }
    }

    /// Whether it has to be looked at before it is offered.
    package var needsCheck: Bool { if case .waiting(_, isChecked: false) = state { true } else { false } }

    // MARK: - The content

    /// It is looked whether it is still what it was.
    package mutating func rechecks() {
        switch state {
        case .waiting: state = .rechecking
        case .rechecking, .rescanning, .offered, .dropped, .over: break
        }
    }

    /// It is still what it was.
    package mutating func rechecked() {
        switch state {
        case .rechecking: state = .waiting(until: nil, isChecked: true)
        case .waiting, .rescanning, .offered, .dropped, .over: break
        }
    }

    /// It is not what it was.
    ///
    /// - Parameter isRepeatable: whether it can be read a second time.
    /// - Returns: why it is not sent as what it is now; nil where it is looked at once more for that.
    package mutating func changed(_ change: FileError, isRepeatable: Bool, now: NIODeadline) -> FileError? {
        switch state {
        case .waiting, .rechecking, .rescanning:
            guard isRepeatable, restarts < TransferDefaults.mostRestarts else {
                state = .over
                return restarts < TransferDefaults.mostRestarts ? change : change.again(restarts + 1)
            }
            state = .rescanning
            retry = RetryMachine(patience: patience, now: now)
            restarts += 1
            (isAccepted, isAllSent, reason) = (false, false, nil)
            return nil
        case .offered, .dropped, .over: return change
        }
    }

    /// What it is now was looked at.
    package mutating func rescanned() {
        switch state {
        case .rescanning: state = .waiting(until: nil, isChecked: true)
        case .waiting, .rechecking, .offered, .dropped, .over: break
        }
    }

    /// Others who read the same input have waited for this receiver too long.
    package mutating func dropped() {
        switch state {
        case .waiting, .rechecking, .rescanning: state = .over
        case .offered: state = .dropped
        case .dropped, .over: break
        }
    }

    // MARK: - The attempts

    /// An attempt begins.
    package mutating func offered() {
        switch state {
        case .waiting: state = .offered
        case .rechecking, .rescanning, .offered, .dropped, .over: break
        }
    }

    /// Another connection replaces that of the attempt, and there is to be one on that as well.
    package mutating func moved() {
        switch state {
        case .offered: state = .waiting(until: nil, isChecked: isAllSent)
        case .waiting, .rechecking, .rescanning, .dropped, .over: break
        }
    }

    /// The attempt on the connection before is the one that counts.
    package mutating func reverted() {
        switch state {
        case .waiting, .rechecking: state = .offered
        case .rescanning, .offered, .dropped, .over: break
        }
    }

    /// The relay has taken the offer.
    package mutating func taken(now: NIODeadline) {
        reason = nil
        retry.connected(now: now)
    }

    /// The receiver has accepted: it looks for a relay that is away, too, and may be later than this side.
    package mutating func accepted() { (isAccepted, isAwaited, waits) = (true, true, true) }

    /// Bytes begin to flow.
    package mutating func started(now: NIODeadline) { retry.started(now: now) }

    /// Bytes of other contents flow to the same receiver.
    package mutating func othersMoved(now: NIODeadline) { retry.othersMoved(now: now) }

    /// The connection is gone.
    package mutating func connectionLost(_ reason: String) { self.reason = reason }

    /// The attempt has ended.
    ///
    /// - Parameter isAllSent: whether all of it was sent in this attempt or in an earlier one.
    package mutating func ended(isAllSent: Bool) {
        self.isAllSent = isAllSent
        switch state {
        case .offered: state = .waiting(until: nil, isChecked: isAllSent)
        case .dropped: state = .over
        case .waiting, .rechecking, .rescanning, .over: break
        }
    }

    /// The attempt that has ended, or what had to come before one, has failed.
    ///
    /// - Parameters:
    ///   - isRepeatable: whether there can be another one.
    ///   - generator: where the jitter of the pauses comes from.
    package mutating func failed(
        _ failure: AttemptFailure, isRepeatable: Bool, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        switch state {
        case .waiting(_, let isChecked):
            switch retry.failed(failure.decision, now: now, using: &generator) {
            case .fail: return end(.fail)
            case .giveUp: return end(.giveUp)
            case .tryAgain(let pause, attempt: _):
                guard isRepeatable else { return end(.unrepeatable) }
                state = .waiting(until: now + pause, isChecked: isChecked)
                defer { reason = failure.reason }
                return .tryAgain(isNews: reason != failure.reason)
            }
        case .rechecking, .rescanning, .offered, .dropped, .over: return .fail
        }
    }

    /// The time is `now`. Harmless when nothing is due. Where it is given up with no attempt to be ended, it is over.
    ///
    /// - Parameter isReceiverBusy: whether bytes of other contents flow to the same receiver.
    /// - Returns: whether the attempt has to end, as the time is over.
    package mutating func deadlinePassed(isReceiverBusy: Bool, now: NIODeadline) -> Bool {
        // From then on only the connection is missing.
        if case .waiting(let until?, let isChecked) = state, until <= now {
            state = .waiting(until: nil, isChecked: isChecked)
        }
        guard retry.isOverdue(now: now) else { return false }
        guard !isReceiverBusy else {
            retry.othersMoved(now: now)
            return false
        }
        switch state {
        case .waiting, .rechecking, .rescanning:
            state = .over
            return false
        case .offered, .dropped: return true
        case .over: return false
        }
    }

    private mutating func end(_ verdict: Verdict) -> Verdict {
        state = .over
        return verdict
    }
}
