// SPDX-License-Identifier: Apache-2.0

/// A generator of the same numbers in every run (SplitMix64), so that a failing random test fails again.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// What a random test is given: the same seeds in every run, and a new one. One that fails says with which it did.
    package static func seeds(_ count: UInt64) -> [UInt64] { Array(1...count) + [.random(in: (count + 1) ... .max)] }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// Random bytes.
    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }
}
