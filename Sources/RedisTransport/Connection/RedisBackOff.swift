// SPDX-License-Identifier: Apache-2.0

package import NIOCore

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
