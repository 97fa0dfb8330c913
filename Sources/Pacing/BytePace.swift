// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How fast bytes may go: a token bucket of bytes, kept like a ``Pace`` as the one point in time at which it would be
/// full again. What has gone is counted after it has gone, so a piece is never too large.
package struct BytePace: Hashable, Sendable {
    /// When everything that was spent has come back.
    package private(set) var isFullAt: NIODeadline

    /// A bucket that is full.
    package init(now: NIODeadline) { isFullAt = now }

    /// Counts `bytes` that have gone; returns how long nothing more may go. None waits longer than `longest`: what was
    /// spent beyond that is forgotten.
    ///
    /// - Parameters:
    ///   - rate: bytes a second, 1 or more.
    ///   - burst: bytes that may go at once.
    package mutating func spend(
        _ bytes: Int, at rate: Int64, burst: Int64, longest: TimeAmount, now: NIODeadline
    ) -> TimeAmount {
        let allowance = Self.time(burst, at: rate)
        isFullAt = min(max(isFullAt, now) + Self.time(Int64(bytes), at: rate), now + allowance + longest)
        return max(.zero, isFullAt - now - allowance)
    }

    /// How long `bytes` take at `rate`; an hour at most, so that no sum overflows.
    private static func time(_ bytes: Int64, at rate: Int64) -> TimeAmount {
        let most: UInt64 = 3_600_000_000_000
        let product = UInt64(max(bytes, 0)).multipliedFullWidth(by: 1_000_000_000)
        let rate = UInt64(max(rate, 1))
        let quotient = product.high < rate ? rate.dividingFullWidth(product).quotient : most
        return .nanoseconds(Int64(min(quotient, most)))
    }
}
