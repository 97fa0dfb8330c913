// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Testing

@testable import RelayClientProgram

/// What is added to the argument parser's scripts.
struct CompletionScriptTests {
    @Test func zshIsToldThatAValueMayBeInTheSameWord() {
        let lines = [
            "        '--profile[Folder (or RELAY_PROFILE).]:profile:_files -/'",
            "        '*--from[Accept from: this [name].]:from:{complete ---completion receive}'",
            "        '--max-size[Such as 500M.]:max-size:'",
        ]
        for line in lines {
            let changed = CompletionScript.zsh(line)
            #expect(changed.filter { $0 != "=" } == line && changed.contains("=["))
        }
        for line in [
            "        '--json[Print one JSON object: per line.]'", "        '(-h --help)'{-h,--help}'[Show help.]'",
            "        ':receivers:{complete --- \"${x[1]}\"}'", "    if [[ -z \"${PREFIX}\" ]]; then", "", "'--x'",
        ] {
            #expect(CompletionScript.zsh(line) == line)
        }
        let script = CompletionScript.text(for: .zsh)
        #expect(script.contains("'--profile=[") && !script.contains("'--profile[") && script.contains("'--json["))
    }

    @Test func bashLooksAtWordsWithoutTheEqualsSignsBetweenThem() {
        let script = CompletionScript.text(for: .bash)
        #expect(script.contains("local -ar typed=") && !script.contains(#"local -r cur="${2}""#))
        #expect(CompletionScript.bash("complete") == "complete")
    }

    @Test func fishIsAskedForTheCursorAtATerminalOnly() {
        let script = CompletionScript.text(for: .fish)
        #expect(script.components(separatedBy: "_tokens -tC").count == 2)
        #expect(script.contains("(__relay-client_cursor)"))
        #expect(CompletionScript.fish("complete") == "complete")
    }
}
