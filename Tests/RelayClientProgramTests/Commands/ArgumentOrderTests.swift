// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

@Suite struct ArgumentOrderTests {
    @Test(arguments: [
        (["--json", "send", "bob", "f"], ["send", "--json", "bob", "f"]),
        (["--profile", "p", "--ca=c", "receive", "--once"], ["receive", "--profile", "p", "--ca=c", "--once"]),
        (["send", "--profile", "p", "bob", "f"], ["send", "--profile", "p", "bob", "f"]),
        (["--help"], ["--help"]),
        (["--json", "--help"], ["--json", "--help"]),
        (["--profile"], ["--profile"]),
        (["--profile", "p"], ["--profile", "p"]),
        ([], []),
    ])
    func movesGlobalOptionsBehindTheCommand(given: [String], expected: [String]) {
        #expect(ArgumentOrder.commandFirst(given) == expected)
    }
}
