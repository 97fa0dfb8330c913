// SPDX-License-Identifier: Apache-2.0

/// How alike two words are, to guess what was meant by a mistyped one.
enum Likeness {
    /// The one of `candidates` that `word` is most likely meant to be: its beginning, or at most two slips away. Nil when there is
    /// none.
    static func nearest(to word: String, of candidates: [String]) -> String? {
        // Two slips make any word of two letters into any other; and what is long is no slip.
        guard (2...32).contains(word.utf8.count) else { return nil }
        if let whole = candidates.first(where: { $0.hasPrefix(word.lowercased()) }) { return whole }
        let likely = candidates.map { ($0, slips(from: Array(word.lowercased().utf8), to: Array($0.utf8))) }
            .min { $0.1 < $1.1 }
        guard let likely, likely.1 <= (word.utf8.count < 4 ? 1 : 2) else { return nil }
        return likely.0
    }

    /// How many letters have to be put in, left out, exchanged for another, or swapped with the next.
    static func slips(from word: [UInt8], to other: [UInt8]) -> Int {
        var (beforeLast, last) = ([Int](), Array(0...other.count))
        for (row, letter) in word.enumerated() {
            var current = [row + 1]
            for (column, wanted) in other.enumerated() {
                var best = min(last[column + 1], current[column]) + 1
                best = min(best, last[column] + (letter == wanted ? 0 : 1))
                if row > 0, column > 0, letter == other[column - 1], word[row - 1] == wanted {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[other.count]
    }
}
