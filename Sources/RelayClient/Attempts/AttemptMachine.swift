// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// When to try again, and when to give up.
///
/// One clock counts the time in which no bytes flow: it runs from the beginning, stops when a stream begins, and begins
/// anew when trouble ends that stream, and when bytes flow to the same receiver. Waiting for the relay, for the
/// receiver and between tries all count. Pure: the time is an argument.
struct AttemptMachine: Hashable, Sendable {
    /// Whether the clock runs.
    enum State: Hashable, Sendable {
        /// It runs until then; nil never gives up.
        case waiting(until: NIODeadline?)
        /// Bytes flow.
        case streaming
        /// There is no further try.
        case over
    }

    /// What follows a failure.
    enum Verdict: Hashable, Sendable {
        /// Try again; `attempt` counts the tries since things went well, from 1.
        case tryAgain(after: TimeAmount, attempt: Int)
        /// It might pass, but not in the time that there is.
        case giveUp
        /// Trying again is no use.
        case fail
    }

    private(set) var state: State
    private let patience: TimeAmount?
    private var backOff = BackOff()
    private var failures = 0
    private var steadySince: NIODeadline?

    /// - Parameter patience: how long to go on without bytes flowing; nil for ever.
    init(patience: TimeAmount?, now: NIODeadline) {
        self.patience = patience
        state = .waiting(until: patience.map { now + $0 })
    }

    /// When the clock runs out; nil while it stands or never does.
    var deadline: NIODeadline? {
        switch state {
        case .waiting(let until): until
        case .streaming, .over: nil
        }
    }

    /// The relay is there again, and does what it was asked.
    mutating func connected(now: NIODeadline) {
        switch state {
        case .waiting, .streaming:
            failures = 0
            steadySince = now
        case .over: break
        }
    }

    /// Bytes begin to flow.
    mutating func started(now: NIODeadline) {
        switch state {
        case .waiting:
            state = .streaming
            failures = 0
            steadySince = now
        case .streaming, .over: break
        }
    }

    /// Bytes of other contents flow to the same receiver, which is there then, and may only not have come to this one.
    mutating func othersMoved(now: NIODeadline) {
        switch state {
        case .waiting: state = .waiting(until: patience.map { now + $0 })
        case .streaming, .over: break
        }
    }

    /// Whether the clock has run out.
    func isOverdue(now: NIODeadline) -> Bool { deadline.map { $0 <= now } ?? false }

    /// It did not work, or does not any more.
    ///
    /// - Parameter generator: where the jitter comes from.
    mutating func failed(
        _ prospect: Prospect, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        let until: NIODeadline?
        switch state {
        case .waiting(let deadline): until = deadline
        case .streaming: until = patience.map { now + $0 }
        case .over: return .fail
        }
        // A relay that takes connections only to drop them must not be tried in a tight loop.
        if let steadySince, now - steadySince >= Defaults.steadyConnection { backOff.reset() }
        steadySince = nil
        failures += 1
        switch prospect {
        case .final: return end(.fail)
        case .doubtful where failures > Defaults.quickTries: return end(.fail)
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
        guard now < until else { return end(.giveUp) }
        // The last try is at the very end.
        return .tryAgain(after: min(pause, until - now), attempt: failures)
    }

    private mutating func end(_ verdict: Verdict) -> Verdict {
        state = .over
        return verdict
    }
}
