// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// `peers policy`
@Suite struct PolicyCommandTests {
    private let screen: Screen
    private let temporary: TemporaryDirectory

    init() throws {
        screen = try Screen()
        temporary = try TemporaryDirectory()
    }

    private func run(_ arguments: String...) throws {
        try PeersCommand.Policy.parse(arguments).apply(screen.client)
    }

    private func refusal(_ arguments: String...) async -> ClientError? {
        await Screen.error { try PeersCommand.Policy.parse(arguments).apply(screen.client) }
    }

    private func mistake(_ arguments: String...) -> String {
        do {
            _ = try PeersCommand.Policy.parse(arguments)
            return ""
        } catch {
            return PeersCommand.Policy.message(for: error)
        }
    }

    @Test func aPolicyIsSetShownChangedAndCleared() async throws {
        try run()
        #expect(screen.take() == ("", "there are no policies: receive asks about each transfer\n"))
        #expect(await refusal("bob")?.description.contains("so receive asks") == true)
        #expect(await refusal("bob", "--max-size", "1K")?.description.contains("as well") == true)
        try run("bob", "accept", "--output", temporary.path, "--max-size", "2K", "--max-day", "1M", "--exec", "true")
        let shown = screen.take()
        #expect(
            shown.output
                == "bob  accept  to \"\(temporary.path)\"  at most 2.05 kB; 1.05 MB a day, 0 B today  runs: true\n")
        #expect(shown.errors.contains("no contact with bob yet") && shown.errors.contains("peers add bob FINGERPRINT"))
        // The rest stays.
        _ = try PeerStore(screen.client.directory).met(try Screen.person("bob"), now: 5)
        try run("bob", "ask", "--exec-shell", "a | b")
        #expect(screen.take().errors.isEmpty)
        try run("bob", "--json")
        try run("--json", "ann", "refuse")
        _ = screen.take()
        try run("--json")
        #expect(
            screen.take().output == #"{"schema":1,"answer":"refuse","event":"policy","name":"ann"}"# + "\n"
                + #"{"schema":1,"answer":"ask","event":"policy","exec_shell":"a | b","folder":"\#(temporary.path)","#
                + #""max_day":1048576,"max_size":2048,"name":"bob","today":0}"# + "\n")
        try run("bob", "--clear")
        #expect(screen.take().errors.contains("no policy for bob any more"))
        #expect(await refusal("bob", "--clear")?.status == .usage)
        #expect(try PolicyStore(screen.client.directory).list().all.map(\.name.rawValue) == ["ann"])
    }

    @Test func whoIsForgottenKeepsAPolicyThatIsTold() throws {
        _ = try PeerStore(screen.client.directory).met(try Screen.person("bob"), now: 5)
        try run("bob", "accept")
        _ = screen.take()
        try PeersCommand.Forget.parse(["bob"]).forget(screen.client)
        #expect(screen.take().errors.contains("relay-client peers policy bob --clear"))
    }

    @Test func mistakesAreNamed() async throws {
        #expect(mistake("bob", "allow").contains("ask, accept or refuse"))
        #expect(mistake("bob", "ask", "--clear").contains("--clear removes"))
        #expect(mistake("--clear").contains("--clear removes"))
        #expect(mistake("--max-size", "1K").contains("name the peer"))
        #expect(mistake("bob", "ask", "--output", "-").contains("standard output"))
        #expect(mistake("bob", "ask", "--output", "~/x").contains("~"))
        #expect(mistake("bob", "ask", "--exec", "a; b").contains("--exec-shell"))
        #expect(await refusal("bob", "accept", "--output", temporary.file("none"))?.status == .cannotCreate)
        #expect(await refusal("bob", "accept", "--exec", "no-such-program x")?.status == .usage)
        #expect(await refusal("bob", "accept", "--exec", "./no-such-program")?.status == .usage)
        #expect(try PolicyStore(screen.client.directory).list().count == 0)
        let bare = try Screen(hasProfile: false)
        #expect(await Screen.error { try PeersCommand.Policy.parse([]).apply(bare.client) }?.status == .configuration)
    }
}
