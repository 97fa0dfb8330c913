// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The pauses between tries: their bound doubles, and each is anything up to it, so that the clients of a restarted relay
/// do not all come at the same moment.
struct BackOff: Hashable, Sendable {
    private var attempts = 0

    /// The next pause: a random part of a time that doubles from ``Defaults/firstPause`` to ``Defaults/longestPause``.
    ///
    /// - Parameter generator: where the jitter comes from.
    mutating func next(using generator: inout some RandomNumberGenerator) -> TimeAmount {
        let doublings = min(attempts, 20)
        attempts = doublings + 1
        let bound = min(Defaults.firstPause.nanoseconds << Int64(doublings), Defaults.longestPause.nanoseconds)
        return .nanoseconds(Int64.random(in: 0...bound, using: &generator))
    }

    /// Begins again from the shortest pause: a connection stood.
    mutating func reset() { attempts = 0 }
}
