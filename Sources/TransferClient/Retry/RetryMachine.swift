// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// When to try again, and when to give up: the one place that decides it, for control connections, for transfers,
/// for their data streams and for what is asked for. Why a failure may pass is in ``RetryDecision``.
///
/// One clock counts the time in which no bytes flow: it runs from the beginning, stops when a stream begins, and begins
/// anew when a failure ends that stream, and when bytes flow to the same receiver. Waiting for the relay, for the
/// receiver and between tries all count. Pure: the time is an argument.
package struct RetryMachine: Hashable, Sendable {
    /// Whether the clock runs.
    package enum State: Hashable, Sendable {
        /// It runs until then; nil never gives up.
        case waiting(until: NIODeadline?)
        /// Bytes flow.
        case streaming
        /// There is no further try.
        case over
    }

    /// What follows a failure.
    package enum Verdict: Hashable, Sendable {
        /// Try again; `attempt` counts the tries since things went well, from 1.
        case tryAgain(after: TimeAmount, attempt: Int)
        /// It might pass, but not in the time that there is.
        case giveUp
        /// Trying again is no use.
        case fail
    }

    package private(set) var state: State
    private let patience: TimeAmount?
    /// Whether nothing may be tried at the end of the time, as what is tried with is not good any more then.
    private let isStrict: Bool
    private var backOff = BackOff()
    private var failures = 0
    private var outdated = 0
    private var steadySince: NIODeadline?

    /// - Parameter patience: how long to go on without bytes flowing; nil for ever.
    package init(patience: TimeAmount?, now: NIODeadline) {
        self.patience = patience
        isStrict = false
        state = .waiting(until: patience.map { now + $0 })
    }

    /// One that tries as long as a try begins before `expiry`.
    package init(expiry: NIODeadline) {
        patience = nil
        isStrict = true
        state = .waiting(until: expiry)
    }

    /// When the clock runs out; nil while it stands or never does.
    package var deadline: NIODeadline? {
        switch state {
        case .waiting(let until): until
        case .streaming, .over: nil
        }
    }

    /// The relay is there again, and does what it was asked.
    package mutating func connected(now: NIODeadline) {
        switch state {
        case .waiting, .streaming:
            failures = 0
            steadySince = now
        case .over: break
        }
    }

    /// Bytes begin to flow.
    package mutating func started(now: NIODeadline) {
        switch state {
        case .waiting:
            state = .streaming
            failures = 0
            steadySince = now
        case .streaming, .over: break
        }
    }

    /// Bytes of other contents flow to the same receiver, which is there then, and may only not have come to this one.
    package mutating func othersMoved(now: NIODeadline) {
        switch state {
        case .waiting: state = .waiting(until: patience.map { now + $0 })
        case .streaming, .over: break
        }
    }

    /// Whether the clock has run out.
    package func isOverdue(now: NIODeadline) -> Bool { deadline.map { $0 <= now } ?? false }

    /// It did not work, or does not any more.
    ///
    /// - Parameter generator: where the jitter comes from.
    package mutating func failed(
        _ decision: RetryDecision, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        let until: NIODeadline?
        switch state {
        case .waiting(let deadline): until = deadline
        case .streaming: until = patience.map { now + $0 }
        case .over: return .fail
        }
        // A relay that takes connections only to drop them must not be tried in a tight loop.
        if let steadySince, now - steadySince >= TransferDefaults.steadyConnection { backOff.reset() }
        steadySince = nil
        failures += 1
        switch decision {
        case .final: return end(.fail)
        case .nextAddress:
            state = .waiting(until: until)
            return .tryAgain(after: .zero, attempt: failures)
        case .doubtful where failures > TransferDefaults.quickTries: return end(.fail)
        case .outdated:
            // What goes well in between says nothing about this: it is offered, rung and refused each time.
            outdated += 1
            guard outdated <= TransferDefaults.freshTries else { return end(.fail) }
            return tryAgain(after: .zero, until: until, now: now, using: &generator)
        case .doubtful: return tryAgain(after: .zero, until: until, now: now, using: &generator)
        case .passing(let after, elsewhere: _):
            return tryAgain(after: after, until: until, now: now, using: &generator)
        }
    }

    private mutating func tryAgain(
        after least: TimeAmount, until: NIODeadline?, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        let pause = max(backOff.next(using: &generator), least)
        state = .waiting(until: until)
        guard let until else { return .tryAgain(after: pause, attempt: failures) }
        guard now < until, !isStrict || now + pause < until else { return end(.giveUp) }
        // The last try is at the very end.
        return .tryAgain(after: min(pause, until - now), attempt: failures)
    }

    private mutating func end(_ verdict: Verdict) -> Verdict {
        state = .over
        return verdict
    }
}

/// The pauses between tries: their bound doubles, and each is anything up to it, so that the clients of a restarted
/// relay do not all come at the same moment.
struct BackOff: Hashable, Sendable {
    private var attempts = 0

    /// The next pause: a random part of a time that doubles from ``TransferDefaults/firstPause`` to
    /// ``TransferDefaults/longestPause``.
    ///
    /// - Parameter generator: where the jitter comes from.
    mutating func next(using generator: inout some RandomNumberGenerator) -> TimeAmount {
        let doublings = min(attempts, 20)
        attempts = doublings + 1
        let (first, longest) = (TransferDefaults.firstPause.nanoseconds, TransferDefaults.longestPause.nanoseconds)
        let bound = min(first << Int64(doublings), longest)
        return .nanoseconds(Int64.random(in: 0...bound, using: &generator))
    }

    /// Begins again from the shortest pause: a connection stood.
    mutating func reset() { attempts = 0 }
}

/// Opening one half of a transfer with its one token: where to ask, and whether to ask again. Pure: the time is an
/// argument, and an address is whatever the caller has.
package struct OpeningMachine<Address: Hashable & Sendable>: Hashable, Sendable {
    /// What to do about a failure.
    package enum Action: Hashable, Sendable {
        /// Ask there, on a connection of its own, after a pause; `attempt` counts from 1.
        case ask(Address, after: TimeAmount, attempt: Int)
        /// It did not work, and this says best why.
        case fail(StreamError)
    }

    /// The address to fall back to, which is asked again.
    private let home: Address
    /// Where it was asked last.
    private var address: Address
    private var retry: RetryMachine
    /// Why it was asked again.
    private var reason: StreamError?

    /// - Parameters:
    ///   - address: where the relay said to ask, perhaps at a node of its own.
    ///   - home: the same at the relay's own address, in case that node cannot be reached.
    ///   - expires: how many seconds the relay gives the token. A number that makes no sense is none of this side's
    ///     business: it is asked once then, or for an hour at most.
    package init(_ address: Address, home: Address, expires: Int, now: NIODeadline) {
        self.home = home
        self.address = address
        let seconds = Int64(min(max(expires, 0), TransferDefaults.longestToken))
        retry = RetryMachine(expiry: now + .seconds(seconds) - TransferDefaults.tokenMargin)
    }

    /// The stream could not be opened.
    ///
    /// - Parameter generator: where the jitter comes from.
    package mutating func failed(
        _ error: StreamError, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Action {
        let decision = RetryDecision(opening: error, isLast: address == home)
        switch retry.failed(decision, now: now, using: &generator) {
        case .tryAgain(let pause, let attempt):
            address = home
            reason = error
            return .ask(home, after: pause, attempt: attempt)
        case .fail, .giveUp:
            // The token is gone by now: what it was asked again for says more.
            guard case .refused(let answer) = error, answer.status == 403 else { return .fail(error) }
            defer { reason = nil }
            return .fail(reason ?? error)
        }
    }
}
