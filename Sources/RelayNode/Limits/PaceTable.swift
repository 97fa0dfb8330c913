// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing

/// One ``Pace`` for each key that has been busy lately. A value of bounded size: what is full again is forgotten.
struct PaceTable<Key: Hashable & Sendable>: Sendable {
    var limits: Pace.Limits
    private let longest: TimeAmount
    private let capacity: Int
    private var paces: [Key: Pace] = [:]
    /// What all keys share that came when the table was full of busy ones.
    private var others: Pace?
    private var sweepAt = 64

    /// - Parameters:
    ///   - longest: the longest wait.
    ///   - capacity: keys at once.
    init(limits: Pace.Limits, longest: TimeAmount, capacity: Int) {
        self.limits = limits
        self.longest = longest
        self.capacity = max(1, capacity)
    }

    /// Keys that have not got everything back.
    var count: Int { paces.count }

    /// Takes `units` of what `key` may use: returns how long they have to wait.
    ///
    /// - Parameter own: the limits of that key alone, if it has some.
    mutating func reserve(
        _ units: Int64, for key: Key, within own: Pace.Limits? = nil, now: NIODeadline
    ) -> TimeAmount {
        if paces[key] == nil { makeRoom(now: now) }
        let isKnown = paces[key] != nil || paces.count < capacity
        var pace = (isKnown ? paces[key] : others) ?? Pace(now: now)
        let wait = pace.reserve(units, of: own ?? limits, longest: longest, now: now)
        if isKnown { paces[key] = pace } else { others = pace }
        return wait
    }

    /// Takes `units` of what `key` may use, if they are there. A key that there is no room to know about has all of it.
    mutating func take(_ units: Int64, for key: Key, now: NIODeadline) -> Bool {
        if paces[key] == nil { makeRoom(now: now) }
        guard paces[key] != nil || paces.count < capacity else { return true }
        return paces[key, default: Pace(now: now)].take(units, of: limits, now: now)
    }

    /// Gives back `units` that were taken.
    mutating func giveBack(_ units: Int64, to key: Key) {
        paces[key]?.giveBack(units, of: limits)
    }

    /// Forgets who has everything back, each time that the table has doubled.
    private mutating func makeRoom(now: NIODeadline) {
        guard paces.count >= min(sweepAt, capacity) else { return }
        paces = paces.filter { $0.value.isFullAt > now }
        sweepAt = max(64, 2 * paces.count)
    }
}
