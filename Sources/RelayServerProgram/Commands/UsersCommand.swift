// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TransferBroker
import WSProtocol

/// `relay-server users`
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "List registered users, or free a name.",
        subcommands: [List.self, Remove.self]
    )

    /// `relay-server users list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each name and the public key it belongs to, one a line, separated by a tab."
        )

        @OptionGroup var state: StateOptions

        func run() async throws {
            let users = try await state.client().users()
            for user in users { try Answer.write("\(user.name)\t\(user.key)") }
        }
    }

    /// `relay-server users remove`
    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove",
            abstract: "Free a name for another key, and end its sessions.",
            discussion: """
                For a user who lost the key or has left. The next user who registers the name (with an invitation) \
                receives what is sent to it from then on. Example:
                  relay-server users remove alice && relay-server invite alice
                """
        )

        @Argument(help: "The name to free.", transform: { try PeerName.argument($0) })
        var name: PeerName

        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.remove(name: name))
            guard case .removed(let name) = reply else { throw AdminClient.unexpected }
            try Answer.write("removed \(name); the name can be registered again")
        }
    }
}
