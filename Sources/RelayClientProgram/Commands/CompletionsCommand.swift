// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface

/// `relay-client completions`
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a script with which a shell completes commands, options and the names of peers.",
        discussion: """
            The names are those of the profile; the relay is not asked. Once for each shell:

            Examples:
              relay-client completions bash > ~/.local/share/bash-completion/completions/relay-client
              relay-client completions zsh > ~/.zfunc/_relay-client
              relay-client completions fish > ~/.config/fish/completions/relay-client.fish
            """
    )

    /// The shells that completions are made for.
    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        fileprivate var shell: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() throws { Program.answer(CompletionScript.text(for: shell.shell) + "\n") }
}
