// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Testing

@testable import RelayClientProgram

@Suite struct EnvironmentOptionsTests {
    private static func given(_ line: String, _ variables: [String: String]) -> EnvironmentOptions {
        EnvironmentOptions(line.split(separator: " ").map(String.init), variables) {
            ToolDescription(of: RelayClientCommand.self)
        }
    }

    private func arguments(_ line: String, _ variables: [String: String]) -> String {
        Self.given(line, variables).arguments.joined(separator: " ")
    }

    @Test func optionsStandRightBehindTheCommand() {
        #expect(arguments("send bob f", ["RELAY_SEND_TIMEOUT": "1h"]) == "send --timeout=1h bob f")
        #expect(arguments("send bob -- f", ["RELAY_SEND_NO_WAIT": "1"]) == "send --no-wait bob -- f")
        #expect(arguments("peers verify bob", ["RELAY_JSON": "1"]) == "peers verify --json bob")
        #expect(arguments("receive", ["RELAY_RECEIVE_MAX_SIZE": "-1"]) == "receive --max-size=-1")
        #expect(arguments("receive", ["RELAY_RECEIVE_OUTPUT": "/a b\n"]) == "receive --output=/a b")
        #expect(Self.given("receive", ["RELAY_RECEIVE_ONCE": "ON"]).used == ["RELAY_RECEIVE_ONCE"])
    }

    @Test func whatIsRepeatedIsListedWithCommas() {
        #expect(arguments("receive", ["RELAY_RECEIVE_FROM": "a,b"]) == "receive --from=a --from=b")
        #expect(arguments("send bob f", ["RELAY_SEND_TIMEOUT": "1,2"]) == "send --timeout=1,2 bob f")
    }

    @Test(arguments: ["send --timeout 1s bob f", "send bob f --timeout=1s"])
    func theCommandLineWins(_ line: String) {
        #expect(arguments(line, ["RELAY_SEND_TIMEOUT": "1h"]) == line)
        #expect(Self.given(line, ["RELAY_SEND_TIMEOUT": "1h"]).remark.isEmpty)
    }

    @Test func anOptionBehindTwoDashesIsAFile() {
        let line = "send bob -- --timeout"
        #expect(arguments(line, ["RELAY_SEND_TIMEOUT": "1h"]) == "send --timeout=1h bob -- --timeout")
    }

    @Test(arguments: [
        // Of the command of --exec, of the server, of another command; read elsewhere; empty or off.
        "RELAY_FROM", "RELAY_FILE", "RELAY_LISTEN", "RELAY_SEND_NO_WAIT", "RELAY_PROFILE", "RELAY_INVITE",
    ])
    func otherVariablesChangeNothing(_ name: String) {
        let given = Self.given("receive --yes", [name: "1", "RELAY_RECEIVE_OUTPUT": "", "RELAY_RECEIVE_ONCE": "off"])
        #expect(given.arguments == ["receive", "--yes"] && given.used.isEmpty && given.mistake == nil)
    }

    @Test(arguments: ["--version", "--help", "", "sned bob f"]) func withoutACommandThereIsNothingToAdd(_ line: String)
    {
        #expect(arguments(line, ["RELAY_JSON": "1", "RELAY_SEND_NO_WAIT": "1"]) == line)
    }

    @Test func mistakesAreNamed() {
        #expect(
            Self.given("send bob f", ["RELAY_SEND_NO_WAIT": "maybe"]).mistake
                == "RELAY_SEND_NO_WAIT is on or off: write 1 or 0")
        #expect(
            Self.given("send bob f", ["RELAY_SEND_TIMOUT": "1h"]).mistake
                == "RELAY_SEND_TIMOUT: send has no such option; did you mean RELAY_SEND_TIMEOUT?")
        // Those of its own commands are not its business.
        #expect(Self.given("peers", ["RELAY_PEERS_ADD_X": "1h"]).mistake == nil)
        #expect(Self.given("peers list", ["RELAY_PEERS_LIST_X": "1h"]).mistake?.contains("peers list has no") == true)
    }

    @Test func theProgramIsAskedOnlyWhereAVariableMayBeMeant() {
        _ = EnvironmentOptions(["send", "bob", "f"], ["HOME": "/", "RELAY_JSON": ""]) {
            Issue.record("asked")
            return nil
        }
    }
}
