// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How often something took how long: a count for each range of times, as Prometheus wants it.
package struct Histogram: Hashable, Sendable, Codable {
    /// The upper ends of the ranges, in milliseconds, ascending. What is longer than the last is in one more range.
    package enum Scale: String, Hashable, Sendable, Codable {
        /// What should take no time: a turn of an event loop, an answer of Redis.
        case instants
        /// What people wait for.
        case waits
        /// What goes on for a while.
        case spans

        package var milliseconds: [UInt64] {
            switch self {
            case .instants: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000]
            case .waits: [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000]
            case .spans: [100, 500, 1000, 5000, 15_000, 60_000, 300_000, 1_800_000, 7_200_000, 43_200_000]
            }
        }
    }

    package let scale: Scale
    /// How many there were in each range alone; the last is that beyond the scale.
    package private(set) var counts: [UInt64]
    /// All times together, in nanoseconds.
    package private(set) var sum: UInt64 = 0

    package init(_ scale: Scale) {
        self.scale = scale
        counts = Array(repeating: 0, count: scale.milliseconds.count + 1)
    }

    /// How many there were.
    package var count: UInt64 { counts.reduce(0, &+) }

    /// Counts one that took `time`; a time below zero is none.
    package mutating func record(_ time: TimeAmount) {
        let nanoseconds = UInt64(clamping: time.nanoseconds)
        let index = scale.milliseconds.firstIndex { nanoseconds <= $0 &* 1_000_000 }
        counts[index ?? counts.count - 1] &+= 1
        sum &+= nanoseconds
    }
}
