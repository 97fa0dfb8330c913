// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Testing

@testable import CommandLineInterface

@Suite("The first words of a command line")
struct CommandWordsTests {
    private struct Root: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "relay", subcommands: [Send.self, Users.self])
    }
    private struct Send: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "send")
        @Argument var words: [String] = []
    }
    private struct Users: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "users", subcommands: [List.self])
    }
    private struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list")
    }

    @Test(arguments: [
        [], ["send"], ["send", "sned", "list"], ["--option", "sned"], ["users", "list"], ["users"], ["help"],
        ["help", "users"],
        ["help", "users", "list"], ["--help", "send"], ["users", "--help"],
    ])
    func knownCommandsAreTaken(_ words: [String]) throws {
        try CommandWords.check(words, of: Root.self)
    }

    @Test(arguments: [
        (["sned", "bob", "f"], "unknown command \"sned\"; did you mean \"send\"?"),
        (["bob", "f"], "unknown command \"bob\": the commands of relay are send, users"),
        (["users", "lsit"], "unknown command \"lsit\"; did you mean \"list\"?"),
        (["users", "x"], "unknown command \"x\": the commands of relay users are list"),
        (["help", "nosuch"], "unknown command \"nosuch\": the commands of relay are send, users"),
        (["--help", "user"], "unknown command \"user\"; did you mean \"users\"?"),
        (["nosuch", "--help"], "unknown command \"nosuch\": the commands of relay are send, users"),
        (["help", "send", "file"], "unknown command \"file\": relay send has no commands of its own"),
    ])
    func unknownCommandsAreRefusedWithASuggestion(_ words: [String], _ message: String) {
        let error = #expect(throws: ValidationError.self) { try CommandWords.check(words, of: Root.self) }
        #expect(error?.message == message)
    }

    @Test(arguments: [
        ("chekc", "check"), ("satus", "status"), ("STATUS", "status"), ("stat", "status"), ("ivnite", "invite"),
        ("usres", "users"),
    ])
    func theNearestCommandIsSuggested(_ word: String, _ meant: String) {
        let commands = ["serve", "invite", "users", "status", "drain", "check"]
        #expect(Likeness.nearest(to: word, of: commands) == meant)
    }

    @Test(arguments: ["", "x", "report.pdf", "bob", "drink water", String(repeating: "check", count: 1000)])
    func noCommandIsSuggestedForAnUnrelatedWord(_ word: String) {
        #expect(Likeness.nearest(to: word, of: ["serve", "invite", "users", "status", "drain", "check"]) == nil)
    }
}
