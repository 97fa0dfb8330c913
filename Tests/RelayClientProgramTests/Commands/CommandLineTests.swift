// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What the command line takes, and what it refuses before anything is done.
@Suite struct CommandLineTests {
    private func send(_ arguments: String...) throws -> SendCommand { try SendCommand.parse(arguments) }
    private func receive(_ arguments: String...) throws -> ReceiveCommand { try ReceiveCommand.parse(arguments) }

    /// The line that a person reads instead.
    private func refusal(_ parse: () throws -> Void) -> String {
        do {
            try parse()
            return ""
        } catch {
            return RelayClientCommand.message(for: error)
        }
    }

    @Test func filesGoToOneOrSeveralReceivers() throws {
        let command = try send("bob,carol", "a", "b", "--timeout", "1h", "--no-wait")
        #expect(command.receivers.names.map(\.rawValue) == ["bob", "carol"])
        #expect(command.paths == ["a", "b"] && !command.waiting.waits)
        #expect(command.waiting.patience == .hours(1))
        #expect(try send("bob", "a").waiting.patience == TransferDefaults.patience)
        #expect(try send("bob", "a").waiting.waits)
    }

    @Test func sendNeedsAReceiverAndAFile() {
        #expect(refusal { _ = try send("bob") }.contains("name at least one file"))
        #expect(refusal { _ = try send("", "a") }.isEmpty == false)
        #expect(refusal { _ = try send("Bob!", "a") }.isEmpty == false)
        #expect(refusal { _ = try send("bob", "a", "--timeout", "0s") }.contains("--timeout must be longer than zero"))
        #expect(refusal { _ = try send("bob", "a", "--timeout", "soon") }.isEmpty == false)
    }

    @Test func standardInputIsReadOnce() throws {
        #expect(try send("bob", "-").paths == ["-"] && send("bob,carol", "-").paths == ["-"])
        #expect(refusal { _ = try send("bob", "-", "-") }.contains("standard input can be read only once"))
    }

    @Test func sendTakesWhatFoldersNeed() throws {
        let settings = try send(
            "bob", "photos", "notes", "--exclude", "*.o", "--exclude", ".git", "--preserve", "--checksum"
        ).settings
        #expect(settings.receivers.map(\.rawValue) == ["bob"] && settings.paths == ["photos", "notes"])
        #expect(settings.exclude == ["*.o", ".git"] && settings.keepsMetadata && settings.printsChecksums)
        #expect(settings.waits && settings.patience == TransferDefaults.patience && settings.expected.isEmpty)
        let plain = try send("bob", "a", "--no-wait").settings
        #expect(plain.exclude.isEmpty && !plain.keepsMetadata && !plain.printsChecksums && !plain.waits)
        #expect(refusal { _ = try send("bob", "a", "--exclude", "") }.contains("--exclude needs a pattern"))
        #expect(refusal { _ = try send("bob", "a", "-") }.contains("standard input is sent by itself"))
        // A pattern may begin with a dash, and what follows it is a file.
        #expect(try send("bob", "--exclude=-x", "a").settings.exclude == ["-x"])
    }

    @Test func receiveTakesWhatFoldersNeed() throws {
        let request = try receive(
            "--output", "in", "--skip-existing", "--preserve", "--checksum", "--from", "alice", "--once"
        ).request
        #expect(request.output == "in" && request.existing == .skip && request.keepsMetadata && request.printsChecksums)
        #expect(request.policy.from.map(\.rawValue) == ["alice"] && request.isOnce && request.only == nil)
        let plain = try receive("--checksum", "--output", "-").request
        #expect(plain.existing == .keep && !plain.keepsMetadata && plain.printsChecksums)
        for option in ["--skip-existing", "--overwrite", "--preserve"] {
            #expect(refusal { _ = try receive("--output", "-", option) }.contains("\(option) is about files"))
        }
        #expect(try receive("--overwrite", "--preserve").request.existing == .replace)
        #expect(
            refusal { _ = try receive("--overwrite", "--skip-existing") }.contains(
                "--skip-existing keeps the files that are there, and --overwrite replaces them"))
    }

    @Test func aHomeThatTheShellDidNotExpandIsTold() {
        #expect(refusal { _ = try send("bob", "~/file") }.contains("~"))
        #expect(refusal { _ = try receive("--output", "~/Downloads") }.contains("~"))
        #expect(refusal { _ = try receive("--profile", "~/p") }.contains("~"))
        #expect(refusal { _ = try receive("--ca", "~/ca.pem") }.contains("~"))
    }

    @Test func aReceiverTakesWhatItIsToldTo() throws {
        let command = try receive(
            "--from", "alice", "--from", "bob", "--yes", "--once", "--max-size", "2G", "--output", "in", "--exec",
            "true")
        #expect(command.senders.map(\.rawValue) == ["alice", "bob"] && command.isTrusting && command.isOnce)
        #expect(command.maxSize?.bytes == 2_147_483_648 && command.output == "in" && command.exec.program == "true")
        let plain = try receive()
        #expect(plain.output == nil && !plain.isTrusting && !plain.isOnce && plain.maxSize == nil)
    }

    @Test func aCommandNeedsAFile() {
        for option in ["--exec", "--exec-shell"] {
            #expect(
                refusal { _ = try receive("--output", "-", option, "true") }.contains("--exec runs a command for each"))
        }
        #expect(refusal { _ = try receive("--exec", "a | b") }.contains("--exec-shell"))
        #expect(refusal { _ = try receive("--exec", "a", "--exec-shell", "b") }.contains("leave one of them out"))
        #expect(refusal { _ = try receive("--from", "No Name") }.isEmpty == false)
        #expect(refusal { _ = try receive("--max-size", "large") }.isEmpty == false)
        #expect(refusal { _ = try receive("--max-size", "0") }.contains("would decline every file"))
    }

    @Test func everyCommandHasTheGlobalOptions() throws {
        let global = [
            "--profile", "p", "--server", "https://relay", "--ca", "ca.pem", "--json", "--quiet", "--verbose",
        ]
        let options = [
            try SendCommand.parse(["bob", "a"] + global).global, try ReceiveCommand.parse(global).global,
            try WhoamiCommand.parse(global).global, try DoctorCommand.parse(global).global,
            try LoginCommand.parse(["https://relay", "--name", "alice"] + global).global,
            try PeersCommand.List.parse(global).global, try PeersCommand.Verify.parse(["bob"] + global).global,
            try PeersCommand.Forget.parse(["bob"] + global).global,
            try PeersCommand.Policy.parse(["bob", "ask"] + global).global,
            try TransfersCommand.List.parse(global).global,
            try PeersCommand.Add.parse(["bob", "4q7xm-0c2ke-8ttwz-9h3vn-51rdb"] + global).global,
            try TransfersCommand.Forget.parse(["id"] + global).global,
            try TransfersCommand.Resume.parse(["id"] + global).global,
        ]
        for each in options {
            #expect(each.profile == "p" && each.server == "https://relay" && each.authorities == "ca.pem")
            #expect(each.json && each.quiet && each.verbose)
        }
    }

    @Test func aLoginNeedsANameThatARelayCouldHave() throws {
        #expect(try LoginCommand.parse(["https://relay", "--name", "alice"]).name == Samples.alice)
        #expect(refusal { _ = try LoginCommand.parse(["https://relay", "--name", "Alice Smith"]) }.isEmpty == false)
        #expect(refusal { _ = try LoginCommand.parse(["https://relay"]) }.isEmpty == false)
    }

    // MARK: - What a command needs

    private func client(_ arguments: [String], _ variables: [String: String]) throws -> Client {
        try Client(try GlobalOptions.parse(arguments), environment: Environment(variables: variables))
    }

    @Test func optionsComeBeforeVariables() throws {
        let variables = ["RELAY_PROFILE": "/v", "RELAY_SERVER": "https://variable", "RELAY_CA": "/v.pem"]
        let client = try client(["--profile", "/o", "--server", "https://option", "--ca", "/o.pem"], variables)
        #expect(client.directory == "/o" && client.server == "https://option" && client.authorities == "/o.pem")
        let other = try self.client([], variables)
        #expect(other.directory == "/v" && other.server == "https://variable" && other.authorities == "/v.pem")
    }

    @Test func withoutAnyTheProfileIsInTheHome() throws {
        #expect(try client([], ["HOME": "/home/alice"]).directory == "/home/alice/.config/relay")
        #expect(try client([], ["HOME": "/h", "XDG_CONFIG_HOME": "/x"]).directory == "/x/relay")
        #expect(throws: FileError.self) { try client([], [:]) }
        #expect(throws: ClientError.self) { try client([], ["RELAY_PROFILE": "~/p"]) }
    }

    @Test func theRelayIsTheOptionsOrTheProfiles() throws {
        let bare = try client([], ["HOME": "/h"])
        #expect(throws: ClientError.self) { try bare.relay(of: nil) }
        let named = try client(["--server", "https://relay.example.com:8443"], ["HOME": "/h"])
        #expect(try named.relay(of: nil).description == "https://relay.example.com:8443")
        let wrong = try client(["--server", "relay"], ["HOME": "/h"])
        #expect(throws: ConnectionError.self) { try wrong.relay(of: nil) }
    }

    @Test func aProxyThatCannotBeUsedIsTold() throws {
        let client = try client([], ["HOME": "/h", "https_proxy": "socks5://proxy"])
        #expect(throws: ConnectionError.self) {
            try client.dialer(to: try RelayURL("https://relay.example.com"), authorities: nil)
        }
        #expect(throws: ConnectionError.self) {
            try self.client([], ["HOME": "/h"]).dialer(
                to: try RelayURL("https://relay.example.com"), authorities: "/nowhere/ca.pem")
        }
    }
}
