// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Whether what a client says of its time can be of today.
enum Freshness {
    /// Throws when `time` is more than a day from `now`.
    static func check(_ time: UInt64, now: UInt64) throws(SealingError) {
        let distance = max(time, now) - min(time, now)
        guard distance <= SealingDefaults.offerTolerance else {
            let clamped = Int64(clamping: distance)
            throw .staleOffer(milliseconds: time < now ? -clamped : clamped)
        }
    }
}

/// The attempts that a receiver has accepted, for two days, so that the relay cannot have one offer accepted twice.
/// Only of offers that were opened: an offer that does not open adds nothing to it.
package struct AttemptMemory: Hashable, Sendable {
    /// When each was seen, in milliseconds since 1970: what a profile stores.
    package private(set) var seen: [AttemptID: UInt64]

    package init(seen: [AttemptID: UInt64] = [:]) { self.seen = seen }

    /// Takes an offer that was just opened; throws when its attempt has been seen before.
    package mutating func take(_ offer: ReceivedOffer, time now: UInt64) throws(SealingError) {
        seen = seen.filter { $0.value > now || now - $0.value <= SealingDefaults.attemptMemory }
        guard seen[offer.parties.attempt] == nil else { throw .repeatedAttempt }
        seen[offer.parties.attempt] = now
    }
}
