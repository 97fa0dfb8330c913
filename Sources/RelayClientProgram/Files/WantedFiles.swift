// SPDX-License-Identifier: Apache-2.0

import Sealing

/// Which files of a manifest are wanted, asked one after the other.
struct WantedFiles {
    /// Nil when all are.
    private let runs: [WantedRun]?
    private var run = 0
    private var position: UInt64 = 0

    /// - Parameter runs: as notes say it; nil for all.
    init(_ runs: [WantedRun]?) { self.runs = runs }

    /// Whether the next file is; one that no run reaches is not.
    mutating func next() -> Bool {
        guard let runs else { return true }
        while run < runs.count {
            let (skip, take) = (UInt64(runs[run].skip), UInt64(runs[run].take))
            if position < skip {
                position += 1
                return false
            }
            if position - skip < take {
                position += 1
                return true
            }
            run += 1
            position = 0
        }
        return false
    }

    /// The notes that say the same.
    static func notes(_ runs: [WantedRun]) -> [WantedNote] {
        var writer = WantedFilesWriter()
        var notes: [WantedNote] = []
        for run in runs {
            for _ in 0..<run.skip { if let note = writer.append(isWanted: false) { notes.append(note) } }
            for _ in 0..<run.take { if let note = writer.append(isWanted: true) { notes.append(note) } }
        }
        return notes + [writer.finish()]
    }
}
