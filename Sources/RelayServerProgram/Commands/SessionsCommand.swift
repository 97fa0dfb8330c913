// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ServerSystem
import TransferBroker
import WSProtocol

/// `relay-server sessions`
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List the sessions, or close one.",
        subcommands: [List.self, Close.self]
    )

    /// `relay-server sessions list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each session: id, name, address, seconds, what it does, separated by tabs.",
            discussion: """
                The id is the one of the log, and begins with the node's. In a cluster, all nodes are asked: one that \
                does not answer is named on standard error, and the exit code is 69.
                """
        )

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let survey = try await state.client().sessions { session in
                try output.write(session) { Self.line(session) }
            }
            if let gap = survey.gap("its sessions are not shown") { throw OperatorError(.unavailable, gap) }
        }

        private static func line(_ session: SessionEntry) -> String {
            var deeds: [String] = []
            if session.receiving { deeds.append("receiving") }
            if session.sharing { deeds.append("sharing") }
            if session.offered > 0 { deeds.append("\(session.offered) offered") }
            if session.accepted > 0 { deeds.append("\(session.accepted) accepted") }
            if session.requests > 0 { deeds.append("\(session.requests) requested") }
            let what = deeds.isEmpty ? "idle" : deeds.joined(separator: ", ")
            // Another node has said these two.
            let (id, address) = (TextEscape.escape(session.id), TextEscape.escape(session.address ?? "-"))
            return "\(id)\t\(session.name)\t\(address)\t\(session.seconds)\t\(what)"
        }
    }

    /// `relay-server sessions close`
    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "close",
            abstract: "Close a session; its client is told that an operator did.",
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
            if case .unanswered(let node, let reason) = reply {
                throw OperatorError(
                    .unavailable, "node \(node) does not answer (\(reason)): try again, or at that node")
            }
            guard case .closed(let session) = reply, session == id else { throw AdminClient.unexpected }
            try output.write(["closed": session]) { "closed \(session)" }
        }
    }
}
