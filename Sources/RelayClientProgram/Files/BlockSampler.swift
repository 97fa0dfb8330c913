// SPDX-License-Identifier: Apache-2.0

import Sealing

/// Picks blocks at random, each as likely as any other, while the files that they are in are told one by one; what it
/// keeps does not grow with them.
struct BlockSampler {
    /// A block that was picked.
    struct Block: Hashable {
        let file: UInt64
        let block: UInt64
        /// The names on the way to the file, from the top of the tree.
        let names: [String]
    }

    private var picked: [Block?] = Array(repeating: nil, count: SealingDefaults.samples)
    private var blocks: UInt64 = 0
    private var state = UInt64.random(in: .min ... .max)

    /// What was picked, each once.
    var all: [Block] { Array(Set(picked.compactMap { $0 })).sorted { ($0.file, $0.block) < ($1.file, $1.block) } }

    /// Takes the next file, of which so many blocks are here.
    ///
    /// - Parameter names: the way to it, asked for where one of its blocks is picked.
    mutating func add(file: UInt64, blocks count: UInt64, names: () -> [String]) {
        guard count > 0 else { return }
        blocks += count
        var way: [String]?
        for index in picked.indices where random(below: blocks) < count {
            let names = way ?? names()
            way = names
            picked[index] = Block(file: file, block: random(below: count), names: names)
        }
    }

    /// Numbers that may be guessed, at a cost that does not show with a million files (SplitMix64).
    private mutating func random(below limit: UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return (value ^ (value >> 31)).multipliedFullWidth(by: limit).high
    }
}
