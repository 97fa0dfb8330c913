// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TransferClient

@Suite struct FileCommandTests {
    private static let values: [FileCommand.Variable: String] = [
        .file: "/in/a \"b\" $(c); d", .from: "alice", .size: "12", .transfer: "id",
    ]

    private func words(_ text: String) throws -> [String] { try FileCommand(text).arguments(Self.values) }

    private func fault(_ text: String) -> FileCommand.Fault? {
        do throws(FileCommand.Fault) {
            _ = try FileCommand(text)
            return nil
        } catch {
            return error
        }
    }

    @Test func wordsAreSplitAsAShellDoes() throws {
        #expect(try words("clamscan --quiet  -i") == ["clamscan", "--quiet", "-i"])
        #expect(try words(" a\tb ") == ["a", "b"])
        #expect(try words(#"a 'b c' "d e" f\ g '' "" h'i'"j""#) == ["a", "b c", "d e", "f g", "", "", "hij"])
        #expect(try words(#"'a|b' "c;d" e\&f '$RELAY_FILE'"#) == ["a|b", "c;d", "e&f", "$RELAY_FILE"])
        #expect(try words(#"a "\"\\\$\`\n" \""#) == ["a", #""\$`\n"#, "\""])
        #expect(try words("a b=c d~e f#g ü") == ["a", "b=c", "d~e", "f#g", "ü"])
    }

    /// Whatever is in a name, it is one argument.
    @Test func whatAPeerSaysIsNeverSplitOrRead() throws {
        let path = Self.values[.file] ?? ""
        #expect(try words(#"clamscan "$RELAY_FILE""#) == ["clamscan", path])
        #expect(try words("clamscan $RELAY_FILE") == ["clamscan", path])
        #expect(
            try words("mail -s ${RELAY_FROM}:$RELAY_SIZE-x '-'$RELAY_TRANSFER")
                == ["mail", "-s", "alice:12-x", "-id"])
        #expect(try words(#""$RELAY_FILE" x"#) == [path, "x"])
    }

    @Test(arguments: [
        "a | b", "a; b", "a && b", "a & b", "a > b", "a < b", "(a)", "a `b`", "a \"`b`\"", "a *", "a ?", "a [b]",
        "a {b,c}", "a ~/b", "~/a", "a #b", "! a", "a\nb", "A=b c", "a $(b)", "a \"$(b)\"", "a $1", "a ${RELAY_FILE%x}",
        "a \\",
    ]) func whatOnlyAShellKnowsIsRefused(text: String) throws {
        guard case .needsShell? = fault(text) else {
            Issue.record("\(text): \(String(describing: fault(text)))")
            return
        }
        let command = try FileCommand(shell: text)
        #expect(command.isShell && command.arguments(Self.values) == ["/bin/sh", "-c", text])
    }

    @Test func otherMistakesAreNamed() {
        #expect(fault("") == .empty && fault("  ") == .empty && fault("''") == .empty)
        #expect(fault("a 'b") == .openQuote && fault("a \"b") == .openQuote)
        // A shell takes the digit for a part of the name.
        #expect(fault("a $RELAY_FILE2") == .unknownVariable("RELAY_FILE2"))
        #expect(fault("a $HOME") == .unknownVariable("HOME") && fault("a ${PATH}") == .unknownVariable("PATH"))
        #expect(throws: FileCommand.Fault.empty) { try FileCommand(shell: " ") }
    }
}
