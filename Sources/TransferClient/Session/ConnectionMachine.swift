// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The control connection of a session: made when it is wanted, made again when it is lost, left for another when its
/// node takes nothing any more, and replaced by another before it is closed when its node is about to stop. Pure:
/// events and the time go in, actions come out, to be run in their order.
package struct ConnectionMachine: Hashable, Sendable {
    /// What there is of a connection.
    package enum State: Hashable, Sendable {
        /// Nothing is done about one.
        case none
        /// One is being made, perhaps after a pause.
        case connecting
        /// One stands; `isProved` once the relay does what it is asked on it.
        case open(isProved: Bool)
        /// It takes nothing more, and is closed once nothing is under way on it.
        case leaving(RetryDecision, reason: String)
        /// It takes nothing more, and another one is being made, perhaps after a pause, while it stands.
        case moving
    }

    /// What the owner has to do.
    package enum Action: Hashable, Sendable {
        /// Connect and log in; nil without a pause.
        case connect(after: TimeAmount?)
        /// Close the connection that stands, with a goodbye.
        case close
        /// Tell the person that the relay is looked for again.
        case reportReconnecting(reason: String, attempt: Int, pause: TimeAmount)
        /// Tell the person that the relay is back.
        case reportReconnected
        /// There is no use in looking for the relay.
        case giveUp(ConnectionError)
        /// Use the connection that has just been made from now on, and keep the other one for what goes on over it.
        case replace
    }

    package private(set) var state = State.none
    private var retry = RetryMachine(patience: nil, now: .uptimeNanoseconds(0))
    /// Whether the relay has answered once: only what had worked is looked for again.
    private var hasWorked = false
    /// Whether the person was told that the relay is away, and not yet that it is back.
    private var isAway = false

    package init() {}

    /// Whether a connection stands that takes requests.
    package var isOpen: Bool { if case .open = state { true } else { false } }

    /// Whether the connection is to be closed once nothing is under way on it.
    package var isLeaving: Bool { if case .leaving = state { true } else { false } }

    /// Whether another connection is being made while the one that stands is kept.
    package var isMoving: Bool { state == .moving }

    /// Whether the relay has done on the connection that stands what it was asked.
    package var isProved: Bool { state == .open(isProved: true) }

    /// A connection is wanted.
    package mutating func wanted() -> [Action] {
        switch state {
        case .none:
            state = .connecting
            return [.connect(after: nil)]
        case .connecting, .open, .leaving, .moving: return []
        }
    }

    /// A connection stands, and is logged in.
    package mutating func connected() -> [Action] {
        switch state {
        case .connecting:
            state = .open(isProved: false)
            hasWorked = true
            return []
        case .moving:
            state = .open(isProved: false)
            return [.replace]
        // Nothing waits for it: it must not stay logged in.
        case .none: return [.close]
        case .open, .leaving: return []
        }
    }

    /// There is no connection, or none any more.
    ///
    /// - Parameter generator: where the jitter of the pauses comes from.
    package mutating func lost(
        _ error: ConnectionError, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        switch state {
        case .none: return []
        case .connecting, .open, .leaving:
            let decision = RetryDecision(error, hasWorked: hasWorked)
            // A relay that says that it cannot now is there, also when it is gone for a moment after that.
            if decision.isPassing { hasWorked = true }
            let actions = connect(after: decision, error.summary, now: now, using: &generator)
            guard actions.isEmpty else { return actions }
            state = .none
            retry = RetryMachine(patience: nil, now: now)
            return [.giveUp(error)]
        case .moving:
            // The other one is being made already.
            state = .connecting
            isAway = true
            return [.reportReconnecting(reason: error.summary, attempt: 1, pause: .zero)]
        }
    }

    /// The node of the connection is about to stop: another one is to be made before that.
    package mutating func moveAsked() -> [Action] {
        switch state {
        case .open, .leaving:
            state = .moving
            return [.connect(after: nil)]
        case .none, .connecting, .moving: return []
        }
    }

    /// The connection that was to replace the one that stands could not be made. The person is not told: nothing is
    /// missing yet.
    ///
    /// - Parameter generator: where the jitter of the pauses comes from.
    package mutating func moveFailed(
        _ error: ConnectionError, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        switch state {
        case .moving:
            guard
                case .tryAgain(let pause, _) = retry.failed(
                    RetryDecision(error, hasWorked: true), now: now, using: &generator)
            else {
                // What is wrong there is said when the connection that stands is gone.
                retry = RetryMachine(patience: nil, now: now)
                state = .open(isProved: true)
                return []
            }
            return [.connect(after: pause)]
        // The one that it was to replace is gone.
        case .connecting: return lost(error, now: now, using: &generator)
        case .none, .open, .leaving: return []
        }
    }

    /// Another connection is wanted, as this one takes nothing, or is not heard.
    package mutating func leave(_ decision: RetryDecision, _ reason: String) {
        switch state {
        case .open: state = .leaving(decision, reason: reason)
        case .none, .connecting, .leaving, .moving: break
        }
    }

    /// Nothing is under way on the connection.
    package mutating func idle(now: NIODeadline, using generator: inout some RandomNumberGenerator) -> [Action] {
        switch state {
        case .leaving(let decision, let reason):
            let actions = connect(after: decision, reason, now: now, using: &generator)
            guard actions.isEmpty else { return [.close] + actions }
            // What cannot be better elsewhere is no reason to leave.
            state = .open(isProved: false)
            return []
        case .none, .connecting, .open, .moving: return []
        }
    }

    /// The relay does what it was asked.
    package mutating func relayAnswered(now: NIODeadline) -> [Action] {
        switch state {
        case .open(isProved: false):
            state = .open(isProved: true)
            retry.connected(now: now)
            defer { isAway = false }
            return isAway ? [.reportReconnected] : []
        case .none, .connecting, .open(isProved: true), .leaving, .moving: return []
        }
    }

    /// The relay was waited for in vain: while it is away, that is not done a second time.
    package mutating func waitedInVain() {
        switch state {
        case .none, .connecting: hasWorked = false
        case .open, .leaving, .moving: break
        }
    }

    private mutating func connect(
        after decision: RetryDecision, _ reason: String, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        switch retry.failed(decision, now: now, using: &generator) {
        case .fail, .giveUp: return []
        case .tryAgain(let pause, let attempt):
            state = .connecting
            isAway = true
            return [.reportReconnecting(reason: reason, attempt: attempt, pause: pause), .connect(after: pause)]
        }
    }
}
