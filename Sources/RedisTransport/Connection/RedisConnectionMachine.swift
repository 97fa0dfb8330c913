// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// One connection that is made anew whenever it ends, with pauses.
struct RedisConnectionMachine {
    /// What is to be done.
    enum Action: Hashable {
        /// Nothing.
        case none
        /// Try to connect.
        case connect
        /// The connection of this number stands: the first is 1, and each new one has the next.
        case announce(generation: Int)
        /// Call ``timerFired()`` after this time.
        case wait(TimeAmount)
        /// The connection that stood is gone; call ``timerFired()`` after this time.
        case lost(pause: TimeAmount)
        /// Close the connection, or the one that has just been made.
        case close
        /// Call no ``timerFired()``.
        case cancelTimer
    }

    private enum State: Hashable {
        case idle
        case connecting
        case connected(since: NIODeadline)
        case waiting
        case stopped
    }

    private let stableAfter: TimeAmount
    private var backOff: RedisBackOff
    private var generation = 0
    private var state = State.idle

    /// - Parameter stableAfter: how long a connection stands before the pauses begin anew.
    init(backOff: RedisBackOff, stableAfter: TimeAmount) {
        self.backOff = backOff
        self.stableAfter = stableAfter
    }

    /// The owner wants the connection.
    mutating func started() -> Action {
        switch state {
        case .idle:
            state = .connecting
            return .connect
        case .connecting, .connected, .waiting, .stopped: return .none
        }
    }

    /// The attempt succeeded.
    mutating func connectSucceeded(now: NIODeadline) -> Action {
        switch state {
        case .connecting:
            state = .connected(since: now)
            generation += 1
            return .announce(generation: generation)
        case .stopped: return .close
        case .idle, .connected, .waiting: return .none
        }
    }

    /// The attempt failed.
    mutating func connectFailed(using generator: inout some RandomNumberGenerator) -> Action {
        switch state {
        case .connecting:
            state = .waiting
            return .wait(backOff.next(using: &generator))
        case .idle, .connected, .waiting, .stopped: return .none
        }
    }

    /// The connection ended.
    mutating func connectionEnded(now: NIODeadline, using generator: inout some RandomNumberGenerator) -> Action {
        switch state {
        case .connected(let since):
            if now - since >= stableAfter { backOff.reset() }
            state = .waiting
            return .lost(pause: backOff.next(using: &generator))
        case .idle, .connecting, .waiting, .stopped: return .none
        }
    }

    /// The pause is over.
    mutating func timerFired() -> Action {
        switch state {
        case .waiting:
            state = .connecting
            return .connect
        case .idle, .connecting, .connected, .stopped: return .none
        }
    }

    /// The owner no longer wants the connection.
    mutating func stopped() -> Action {
        defer { state = .stopped }
        switch state {
        case .connected: return .close
        case .waiting: return .cancelTimer
        case .idle, .connecting, .stopped: return .none
        }
    }
}

/// The pauses between attempts to connect: anything from the shortest pause to one that doubles each time, so that the
/// nodes of a cluster do not all come at the same moment, and none of them in a busy loop.
package struct RedisBackOff: Hashable, Sendable {
    private let first: TimeAmount
    private let longest: TimeAmount
    private var attempts = 0

    /// Pauses between `first` and `longest`.
    package init(first: TimeAmount = RedisDefaults.firstPause, longest: TimeAmount = RedisDefaults.longestPause) {
        self.first = max(first, .milliseconds(1))
        self.longest = max(longest, self.first)
    }

    /// The next pause.
    ///
    /// - Parameter generator: where the jitter comes from.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> TimeAmount {
        attempts = min(attempts + 1, 16)
        let (doubled, isTooMuch) = first.nanoseconds.multipliedReportingOverflow(by: 1 << Int64(attempts))
        let limit = isTooMuch ? longest.nanoseconds : min(doubled, longest.nanoseconds)
        return .nanoseconds(Int64.random(in: first.nanoseconds...limit, using: &generator))
    }

    /// Begins again from the shortest pause: a connection stood.
    package mutating func reset() { attempts = 0 }
}
