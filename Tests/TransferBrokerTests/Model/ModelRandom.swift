// SPDX-License-Identifier: Apache-2.0

/// Random numbers that are the same for the same seed everywhere (SplitMix64).
struct ModelRandom: RandomNumberGenerator {
    private var state: UInt64

    /// Those of one schedule of a seed.
    init(seed: UInt64, schedule: UInt64) {
        state = seed
        state = next() ^ schedule
        state = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Whether something happens that happens once in `count` times.
    mutating func isOne(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}
