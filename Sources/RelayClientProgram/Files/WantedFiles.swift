// SPDX-License-Identifier: Apache-2.0

import Sealing

/// Says of one file of the manifest after the other whether the receiver wants it.
struct WantedFiles {
    /// Nil when all are.
    private var runs: [WantedRun]?
    private var run = 0
    private var passed: UInt64 = 0

    /// - Parameter runs: from the first file on; those behind the last one are not wanted.
    init(_ runs: [WantedRun]?) { self.runs = runs }

    /// Whether the next file is wanted.
    mutating func next() -> Bool {
        guard let runs else { return true }
        while run < runs.count {
            let (skip, all) = (UInt64(runs[run].skip), UInt64(runs[run].skip) + UInt64(runs[run].take))
            if passed < all {
                passed += 1
                return passed > skip
            }
            run += 1
            passed = 0
        }
        return false
    }
}
