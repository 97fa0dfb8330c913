// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TransferBroker
import WSProtocol

/// `relay-server sessions`
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List the sessions of this node, or close one.",
        subcommands: [List.self, Close.self]
    )

    /// `relay-server sessions list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each session: id, name, address, seconds, what it does, separated by tabs.",
            discussion: """
                Of a cluster, the sessions of the node that is asked. The id is the one of the log.
                """
        )

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            for session in try await state.client().sessions() {
                try output.write(session) { Self.line(session) }
            }
        }

        private static func line(_ session: SessionEntry) -> String {
            var deeds: [String] = []
            if session.receiving { deeds.append("receiving") }
            if session.sharing { deeds.append("sharing") }
            if session.offered > 0 { deeds.append("\(session.offered) offered") }
            if session.accepted > 0 { deeds.append("\(session.accepted) accepted") }
            if session.requests > 0 { deeds.append("\(session.requests) requested") }
            let what = deeds.isEmpty ? "idle" : deeds.joined(separator: ", ")
            return "\(session.id)\t\(session.name)\t\(session.address ?? "-")\t\(session.seconds ?? 0)\t\(what)"
        }
    }

    /// `relay-server sessions close`
    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "close",
            abstract: "Close a session, which hears that an operator did.",
            discussion: """
                The client connects again; `relay-server users disable` keeps a user away. Example:
                  relay-server sessions close n1-7
                """
        )

        @Argument(help: "The session's id, as `sessions list` prints it.")
        var id: String

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.close(session: id))
            guard case .closed(let session) = reply else { throw AdminClient.unexpected }
            try output.write(["closed": session]) { "closed \(session)" }
        }
    }
}
