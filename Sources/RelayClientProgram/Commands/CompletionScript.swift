// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// What a shell is given to complete command lines: the argument parser's script, but for what it leaves out.
enum CompletionScript {
    /// The script for `shell`.
    static func text(for shell: CompletionShell) -> String {
        let text = RelayClientCommand.completionScript(for: shell)
        return switch shell {
        case .bash: bash(text)
        case .fish: fish(text)
        case .zsh: zsh(text)
        default: text
        }
    }

    /// bash takes the `=` of `--option=value` for a word of its own, which then stands for the value: the script looks
    /// at the words without it.
    static func bash(_ text: String) -> String {
        let words = """
                local -r cur="${2}"
                local -r prev="${3}"

            """
        guard text.contains(words) else { return text }
        let joined = #"""
                local -ar typed=("${COMP_WORDS[@]}")
                local -ir typed_cword="${COMP_CWORD}"
                local -a COMP_WORDS=()
                local -i COMP_CWORD=0 typed_index
                local COMP_LINE="${COMP_LINE}" cur="${2}" option=''
                for typed_index in "${!typed[@]}"; do
                    if [[ "${typed[typed_index]}" = '=' && "${option}" = --* && "${COMP_LINE}" = *"${option}="* ]]; then
                        COMP_LINE=${COMP_LINE/"${option}="/"${option} "}
                        if [[ "${typed_index}" -eq "${typed_cword}" ]]; then
                            cur=''
                            COMP_WORDS+=('')
                        fi
                    else
                        COMP_WORDS+=("${typed[typed_index]}")
                    fi
                    option="${typed[typed_index]}"
                    [[ "${typed_index}" -ne "${typed_cword}" ]] || COMP_CWORD="$((${#COMP_WORDS[@]} - 1))"
                done
                local -r cur prev="${COMP_WORDS[COMP_CWORD - 1]}"

            """#
        return text.split(separator: words, omittingEmptySubsequences: false).joined(separator: joined)
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
