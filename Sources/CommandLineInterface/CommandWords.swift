// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The first words of a command line: the command, its sub-command, and so on. The argument parser takes a mistyped one
/// for an argument too many, or shows the general help.
enum CommandWords {
    private static let help: Set<String> = ["help", "--help", "-h"]

    /// Throws `ValidationError` when `arguments` begin with a word that is no command of `root`, and names the one that
    /// was meant if there is one.
    static func check(_ arguments: [String], of root: any ParsableCommand.Type) throws {
        var words = arguments[...]
        let asksForHelp = words.first.map(help.contains) ?? false
        if asksForHelp { words.removeFirst() }
        try check(words, in: root.name, root.configuration.subcommands, asksForHelp: asksForHelp)
    }

    private static func check(
        _ words: ArraySlice<String>, in path: String, _ commands: [any ParsableCommand.Type], asksForHelp: Bool
    ) throws {
        guard let word = words.first, !word.hasPrefix("-") else { return }
        // What stands behind the last command is its own business; but there is no help about it.
        if commands.isEmpty, !asksForHelp { return }
        guard let next = commands.first(where: { $0.name == word }) else {
            throw ValidationError(unknown(word, of: path, commands.map { $0.name }))
        }
        let (rest, inside) = (words.dropFirst(), "\(path) \(word)")
        try check(rest, in: inside, next.configuration.subcommands, asksForHelp: asksForHelp)
    }

    private static func unknown(_ word: String, of path: String, _ commands: [String]) -> String {
        let what = "unknown command \"\(word)\""
        if let meant = Likeness.nearest(to: word, of: commands) { return "\(what); did you mean \"\(meant)\"?" }
        if commands.isEmpty { return "\(what): \(path) has no commands of its own" }
        return "\(what): the commands of \(path) are \(commands.joined(separator: ", "))"
    }
}

extension ParsableCommand {
    /// What it is called on the command line.
    fileprivate static var name: String { configuration.commandName ?? "" }
}

/// How alike two words are, to guess what was meant by a mistyped one.
package enum Likeness {
    /// The one of `candidates` that `word` is most likely meant to be: its beginning, or at most two slips away. Nil
    /// when there is none.
    package static func nearest(to word: String, of candidates: [String]) -> String? {
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
