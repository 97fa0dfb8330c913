// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The first words of a command line: the command, its sub-command, and so on. The argument parser takes a mistyped one for an
/// argument too many, or shows the general help.
enum CommandWords {
    private static let help: Set<String> = ["help", "--help", "-h"]

    /// Throws `ValidationError` when `arguments` begin with a word that is no command of `root`, and names the one that was meant
    /// if there is one.
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
