// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// What a shell is given to complete command lines: the argument parser's script, but for what it leaves out.
enum CompletionScript {
    /// The script for `shell`.
    static func text(for shell: CompletionShell) -> String {
        let text = RelayClientCommand.completionScript(for: shell)
        return switch shell {
        case .fish: fish(text)
        case .zsh: zsh(text)
        default: text
        }
    }

    /// fish before 4 tells where the cursor is at a terminal alone. With `complete -C`, the cursor is behind the last
    /// word.
    static func fish(_ text: String) -> String {
        let asking = "(\(prefix)_tokens -tC)"
        guard text.contains(asking) else { return text }
        return text.split(separator: asking, omittingEmptySubsequences: false).joined(separator: "(\(prefix)_cursor)")
            + """

            function \(prefix)_cursor
                if status is-interactive
                    \(prefix)_tokens -tC
                else
                    string length -- "$(commandline -ct)"
                end
            end
            """
    }

    /// An option with a value may have it in the same word, behind `=`, which zsh has to be told.
    static func zsh(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).map(takingValue)
            .joined(separator: "\n")
    }

    /// `'--name[What it is.]:name:'` as `'--name=[What it is.]:name:'`; other lines as they are.
    private static func takingValue(_ line: String) -> String {
        let option = line.drop { $0 == " " }.dropFirst("'".count)
        let name = option.drop { $0 == "*" }.prefix { $0 == "-" || $0.isLetter }
        guard line.drop(while: { $0 == " " }).hasPrefix("'"), name.hasPrefix("--"), !line.hasSuffix("]'"),
            name.endIndex < line.endIndex, line[name.endIndex] == "["
        else { return line }
        return line[..<name.endIndex] + "=" + line[name.endIndex...]
    }

    private static let prefix = "__relay-client"
}
