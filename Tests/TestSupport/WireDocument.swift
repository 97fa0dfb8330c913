// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `docs/wire-protocol.md`, read from the repository that the tests were built from.
package struct WireDocument {
    private let lines: [Substring]

    /// Reads it.
    package init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/wire-protocol.md"), encoding: .utf8)
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The contents of the fenced blocks whose opening fence names `language`.
    package func blocks(_ language: String) -> [String] {
        var blocks: [String] = []
        var current: [Substring]?
        var isWanted = false
        for line in lines {
            guard line.hasPrefix("```") else {
                current?.append(line)
                continue
            }
            if let block = current {
                if isWanted { blocks.append(block.joined(separator: "\n")) }
                current = nil
            } else {
                current = []
                isWanted = line.dropFirst(3) == language
            }
        }
        return blocks
    }

    /// The cells of the rows of the first table whose head's first cell is `head`.
    package func table(_ head: String) -> [[String]] {
        let rows = lines.drop { !$0.hasPrefix("| \(head) |") }.dropFirst(2).prefix { $0.hasPrefix("|") }
        return rows.map { row in
            row.dropFirst().dropLast().split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    /// The numbers in the first cells of that table; a cell may hold several, with commas between them.
    package func numbers(_ head: String) -> [Int] {
        table(head).flatMap { row in
            (row.first ?? "").split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        }
    }
}
