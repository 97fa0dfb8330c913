// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The control connection of a session: made when it is wanted, made again when it is lost, and left for another when
/// its node takes nothing any more. Pure: events and the time go in, actions come out, to be run in their order.
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

    /// A connection is wanted.
    package mutating func wanted() -> [Action] {
        switch state {
        case .none:
            state = .connecting
            return [.connect(after: nil)]
        case .connecting, .open, .leaving: return []
        }
    }

    /// A connection stands, and is logged in.
    package mutating func connected() -> [Action] {
        switch state {
        case .connecting:
            state = .open(isProved: false)
            hasWorked = true
            return []
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
        }
    }

    /// Another connection is wanted, as this one takes nothing, or is not heard.
    package mutating func leave(_ decision: RetryDecision, _ reason: String) {
        switch state {
        case .open: state = .leaving(decision, reason: reason)
        case .none, .connecting, .leaving: break
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
        case .none, .connecting, .open: return []
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
        case .none, .connecting, .open(isProved: true), .leaving: return []
        }
    }

    /// The relay was waited for in vain: while it is away, that is not done a second time.
    package mutating func waitedInVain() {
        switch state {
        case .none, .connecting: hasWorked = false
        case .open, .leaving: break
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
