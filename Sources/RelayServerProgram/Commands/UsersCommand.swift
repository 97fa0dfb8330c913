// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import RelayNode
import TransferBroker
import WSProtocol

/// `relay-server users`
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "List and show users, limit, rename, disable and remove them.",
        discussion: """
            Examples:
              relay-server users show alice
              relay-server users limit alice transfers=10 rate=5M day=20G
              relay-server users disable alice

            In a cluster, these commands are about the users of all nodes.
            """,
        subcommands: [
            List.self, Show.self, Limit.self, Rename.self, Disable.self, Enable.self, Remove.self,
        ]
    )

    /// The argument of most of them.
    struct Name: ParsableArguments {
        @Argument(help: "The user's name.", transform: { try PeerName.argument($0) })
        var name: PeerName
    }

    /// `relay-server users list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each name, the public key it belongs to, and active or disabled, separated by tabs."
        )

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let users = try await state.client().users()
            for user in users {
                let isDisabled = user.account?.disabled != nil
                try output.write(user) { "\(user.name)\t\(user.key)\t\(isDisabled ? "disabled" : "active")" }
            }
        }
    }

    /// `relay-server users show`
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Show a user: state, key, registration, sessions, bytes of today, and limits."
        )

        @OptionGroup var user: Name
        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.user(name: user.name))
            guard case .user(let details) = reply else { throw AdminClient.unexpected }
            try output.write(details) { details.lines }
        }
    }

    /// `relay-server users limit`
    struct Limit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "limit",
            abstract: "Set limits for one user, from now on.",
            discussion: """
                connections, offers (that are not accepted yet), transfers (at once, each way), messages (a \
                second), rate (bytes a second), day (bytes from 00:00 to 24:00 UTC). A value is a number or a size; \
                off means no limit, default the one that every user has (`serve --limit`). Running transfers are not \
                cut: a rate applies at once, and the other limits to what begins later.
                Examples:
                  relay-server users limit alice transfers=10 rate=5M day=20G
                  relay-server users limit alice day=off rate=default
                """
        )

        @OptionGroup var user: Name

        @Argument(
            help: ArgumentHelp("The limits.", valueName: "limit=value"),
            transform: { try LimitText($0, takesDefault: true) }
        )
        var limits: [LimitText]

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let changes = limits.map { LimitChange(limit: $0.name.rawValue, value: $0.value) }
            let reply = try await state.client().ask(.limit(name: user.name, changes: changes))
            guard case .user(let details) = reply else { throw AdminClient.unexpected }
            try output.write(details) { details.lines }
        }
    }

    /// `relay-server users rename`
    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rename",
            abstract: "Give a user another name, with its key, limits and note; its sessions end.",
            discussion: """
                The old name is free after that. The user logs in under the new one, without an invitation:
                  relay-client login https://relay.example.com:8443 --name NEW --renamed
                Users who have verified the old name have to verify the new one.
                """
        )

        @Argument(help: "The present name.", transform: { try PeerName.argument($0) })
        var old: PeerName

        @Argument(help: "The new name.", transform: { try PeerName.argument($0) })
        var new: PeerName

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.rename(name: old, to: new))
            guard case .renamed(let name) = reply else { throw AdminClient.unexpected }
            try output.write(["renamed": old, "name": name]) {
                "renamed \(old) to \(name); the user has to log in with --name \(name) --renamed"
            }
        }
    }

    /// `relay-server users disable`
    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "disable",
            abstract: "Bar a user from logging in, and end its sessions; the user keeps the name."
        )

        @OptionGroup var user: Name
        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.disable(name: user.name))
            guard case .disabled(let name) = reply else { throw AdminClient.unexpected }
            try output.write(["disabled": name]) {
                "disabled \(name); `relay-server users enable \(name)` takes that back"
            }
        }
    }

    /// `relay-server users enable`
    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "enable", abstract: "Allow a disabled user to log in again.")

        @OptionGroup var user: Name
        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.enable(name: user.name))
            guard case .enabled(let name) = reply else { throw AdminClient.unexpected }
            try output.write(["enabled": name]) { "enabled \(name)" }
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

        @OptionGroup var output: OutputOptions
        @OptionGroup var state: StateOptions

        func run() async throws {
            let reply = try await state.client().ask(.remove(name: name))
            guard case .removed(let name) = reply else { throw AdminClient.unexpected }
            try output.write(["removed": name]) { "removed \(name); the name can be registered again" }
        }
    }
}
