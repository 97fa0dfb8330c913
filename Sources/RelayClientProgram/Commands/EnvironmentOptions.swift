// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import WSProtocol

/// Options that variables give: `RELAY_`, the words of the command, and the option, as in `RELAY_SEND_TIMEOUT`. The
/// command is in the name so that what is meant for one is not taken by another that runs in the same environment, as a
/// `send` of the command of `receive --exec` does; and none of them is a variable that such a command is told something
/// with.
///
/// The options of all commands have none in it. Those of them with a value are read where they are used
/// (``Environment/Variable``), since what they say may come from the profile instead.
struct EnvironmentOptions {
    /// The command line, with an option added for each variable whose option is not in it.
    private(set) var arguments: [String]
    /// The variables that have added something.
    private(set) var used: [String] = []
    /// What is wrong with one of them.
    private(set) var mistake: String?

    private static let prefix = "RELAY_"
    private static let yes: Set<String> = ["1", "true", "yes", "on"]
    private static let no: Set<String> = ["0", "false", "no", "off"]

    /// - Parameters:
    ///   - arguments: the command line, with the words of the command first.
    ///   - tool: what the command takes; looked at only where a variable may be meant for it.
    init(_ arguments: [String], _ variables: [String: String], tool: () -> ToolDescription?) {
        self.arguments = arguments
        let given = variables.filter { name, value in name.hasPrefix(Self.prefix) && !value.isEmpty }
        guard !given.isEmpty, arguments.first?.hasPrefix("-") == false, let tool = tool() else { return }
        let (words, command) = tool.command.called(by: arguments)
        guard !words.isEmpty else { return }
        let own = Self.prefix + words.map(Self.name(of:)).joined(separator: "_") + "_"
        var known: Set<String> = []
        var added: [String] = []
        for option in command.options {
            let isShared = GlobalOptions.flags.contains(option.name)
            let variable = (isShared ? Self.prefix : own) + Self.name(of: option.name)
            known.insert(variable)
            guard let value = given[variable], !Self.holds(arguments.dropFirst(words.count), option.name) else {
                continue
            }
            guard let words = Self.words(option, value) else {
                mistake = "\(variable) is on or off: write 1 or 0"
                return
            }
            added += words
            if !words.isEmpty { used.append(variable) }
        }
        self.arguments.insert(contentsOf: added, at: words.count)
        if command.subcommands?.isEmpty ?? true,
            let other = given.keys.filter({ $0.hasPrefix(own) }).sorted()
                .first(where: { !known.contains($0) })
        {
            let meant = Likeness.nearest(to: other, of: known.map { $0.lowercased() }.sorted())
            mistake =
                "\(other): \(words.joined(separator: " ")) has no such option"
                + (meant.map { "; did you mean \($0.uppercased())?" } ?? "")
        }
    }

    /// What to say behind a line about the command line, for someone who sees no mistake in it.
    var remark: String { used.isEmpty ? "" : "; given by variables: \(used.joined(separator: ", "))" }

    /// The words that say the same as `value`; nil when it says nothing.
    private static func words(_ option: ToolDescription.Argument, _ value: String) -> [String]? {
        let value = Pasted.path(value)
        guard option.isFlag else {
            let values = option.isRepeating ? value.split(separator: ",").map(String.init) : [value]
            return values.map { "--\(option.name)=\($0)" }
        }
        let word = Pasted.trimmed(value).lowercased()
        if yes.contains(word) { return ["--\(option.name)"] }
        return no.contains(word) ? [] : nil
    }

    private static func holds(_ arguments: ArraySlice<String>, _ option: String) -> Bool {
        arguments.prefix { $0 != "--" }.contains { $0 == "--\(option)" || $0.hasPrefix("--\(option)=") }
    }

    private static func name(of word: String) -> String {
        String(word.uppercased().map { $0 == "-" ? "_" : $0 })
    }
}

/// What the argument parser says that a program takes, as far as it matters here.
struct ToolDescription: Decodable {
    let command: Command

    /// A command.
    struct Command: Decodable {
        var commandName: String
        var subcommands: [Command]?
        var arguments: [Argument]?

        /// The options and flags that a variable can give.
        var options: [Argument] {
            (arguments ?? []).filter { argument in
                !argument.name.isEmpty && argument.shouldDisplay && !Self.others.contains(argument.name)
            }
        }

        /// Options that are no settings, and options that are read where they are used.
        private static let others = Set(["help", "version", "invite"]).union(GlobalOptions.withValue)

        /// The command that `arguments` call, and the words they do it with.
        func called(by arguments: [String]) -> (words: [String], command: Command) {
            var (words, command) = ([String](), self)
            for word in arguments {
                guard let next = command.subcommands?.first(where: { $0.commandName == word }) else { break }
                words.append(word)
                command = next
            }
            return (words, command)
        }
    }

    /// An argument, an option or a flag.
    struct Argument: Decodable {
        var kind: String
        var shouldDisplay: Bool
        var isRepeating: Bool
        var preferredName: Name?

        /// One of its names.
        struct Name: Decodable {
            var kind: String
            var name: String
        }

        /// Behind `--`; empty when it has no such name.
        var name: String { preferredName.flatMap { $0.kind == "long" ? $0.name : nil } ?? "" }
        var isFlag: Bool { kind == "flag" }
    }

    /// The description of the command `root`; nil when it cannot be understood.
    init?(of root: any ParsableCommand.Type) {
        guard let text = Self.text(of: root), let tool = StrictJSON.decode(Self.self, from: text.utf8) else {
            return nil
        }
        self = tool
    }

    private static func text(of root: any ParsableCommand.Type) -> String? {
        do {
            _ = try root.parseAsRoot(["--experimental-dump-help"])
            return nil
        } catch {
            return root.fullMessage(for: error)
        }
    }
}
