// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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
        (["--json", "peers"], ["peers", "--json"]),
        (["--json", "peers", "verify", "bob"], ["peers", "verify", "--json", "bob"]),
        (["--profile", "p", "peers", "--json", "list"], ["peers", "list", "--profile", "p", "--json"]),
        (["peers", "--json"], ["peers", "--json"]),
        (["transfers", "--ca=c", "resume", "--quiet", "id"], ["transfers", "resume", "--ca=c", "--quiet", "id"]),
        (["--json", "peers", "bob"], ["peers", "bob", "--json"]),
        (["--json", "sned", "bob"], ["sned", "--json", "bob"]),
    ])
    func movesGlobalOptionsBehindTheCommand(given: [String], expected: [String]) {
        #expect(ArgumentOrder.commandFirst(given, of: RelayClientCommand.configuration.subcommands) == expected)
    }
}
