// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@Suite struct TerminalTextTests {
    @Test(
        arguments: [
            "\u{0}", "\u{7}", "\n", "\u{1B}", "\u{7F}", "\u{9B}", "\u{AD}", "\u{200D}", "\u{202E}", "\u{2028}",
            "\u{2029}",
            "\u{2066}", "\u{FEFF}", "\u{FFFE}", "\u{1FFFF}", "\u{E0041}",
        ] as [Unicode.Scalar])
    func disturbs(scalar: Unicode.Scalar) { #expect(scalar.mayDisturbTerminal) }

    @Test(arguments: [" ", "a", "~", "\"", "\u{A0}", "é", "\u{301}", "語", "\u{FFFD}", "\u{1F600}"] as [Unicode.Scalar])
    func isShown(scalar: Unicode.Scalar) { #expect(!scalar.mayDisturbTerminal) }
}
