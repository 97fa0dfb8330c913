// SPDX-License-Identifier: Apache-2.0

/// Jitter that is none: always the same number; the largest gives the longest pauses.
struct Constant: RandomNumberGenerator {
    var value: UInt64 = .max
    mutating func next() -> UInt64 { value }
}
