// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How much a peer may do in a time: a token bucket, kept as the one point in time at which it would be full again
/// (the generic cell rate algorithm), so nothing has to be refilled.
package struct Pace: Hashable, Sendable {
    /// The rate of a pace, in units of whatever it counts.
    package struct Limits: Hashable, Sendable {
        private let perSecond: Int64
        /// Units that may be taken at once; 1 or more.
        let burst: Int64

        /// Figures outside 1 to a million are brought to the nearest of them, so that no sum below can overflow.
        package init(perSecond: Int64, burst: Int64) {
            self.perSecond = Self.sensible(perSecond)
            self.burst = Self.sensible(burst)
        }

        /// So many times as much.
        package func times(_ count: Int64) -> Limits {
            let count = Self.sensible(count)
            return Limits(perSecond: perSecond * count, burst: burst * count)
        }

        /// So many times as fast, with the same burst.
        package func faster(_ count: Int64) -> Limits {
            Limits(perSecond: perSecond * Self.sensible(count), burst: burst)
        }

        private static func sensible(_ figure: Int64) -> Int64 { min(max(figure, 1), 1_000_000) }

        fileprivate func time(_ units: Int64) -> TimeAmount {
            .nanoseconds(1_000_000_000 / perSecond * min(max(units, 0), 1_000_000))
        }
    }

    /// When everything that was taken has come back.
    package private(set) var isFullAt: NIODeadline

    /// A bucket that is full.
    package init(now: NIODeadline) { isFullAt = now }

    /// Takes `units` if they are there.
    package mutating func take(_ units: Int64, of limits: Limits, now: NIODeadline) -> Bool {
        let after = max(isFullAt, now) + limits.time(units)
        guard after - now <= limits.time(limits.burst) else { return false }
        isFullAt = after
        return true
    }

    /// Gives back `units` that were taken under the same limits.
    package mutating func giveBack(_ units: Int64, of limits: Limits) {
        // Where some of it has come back by itself and others have taken that, they have it once more. What would be
        // more than a full one is none: that point is in the past then.
        isFullAt = isFullAt - limits.time(units)
    }

    /// Takes `units` that are there, or will be: returns how long to wait before they may be used. Waits follow one
    /// another in the order in which they were asked for, so that each request gets a turn. None waits longer than
    /// `longest`: what was taken beyond that is forgotten.
    package mutating func reserve(
        _ units: Int64, of limits: Limits, longest: TimeAmount, now: NIODeadline
    ) -> TimeAmount {
        let burst = limits.time(limits.burst)
        isFullAt = min(max(isFullAt, now) + limits.time(units), now + burst + longest)
        return max(.zero, isFullAt - now - burst)
    }
}
