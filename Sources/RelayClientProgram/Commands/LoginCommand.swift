// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TransferClient
import WSProtocol

/// `relay-client login`.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Register a name at a relay, and store name, relay and keys in the profile.",
        discussion: """
            The first login creates a key pair and binds the name to it; most relays want an invitation for that. It \
            comes from --invite or RELAY_INVITE, or is asked for.

            Examples:
              relay-client login https://relay.example.com --name alice
              relay-client login https://relay.example.com:8443 --name alice --ca ca.pem
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(help: "URL of the relay: https://HOST[:PORT].")
    var url: String

    @Option(
        help: "Name to register: lower-case letters, digits, dots, dashes and underscores.",
        transform: { try PeerName.argument($0) })
    var name: PeerName

    @Option(name: .customLong("invite"), help: "Invitation code (or RELAY_INVITE).")
    var invitation: String?

    @Flag(name: .customLong("moved"), help: "The relay of this profile has moved to this URL.")
    var hasMoved = false

    @Flag(name: .customLong("renamed"), help: "The relay's operator has given this profile's user the new name.")
    var isRenamed = false

    func run() async throws { try await Client.run(global) { try await logIn($0) } }

    /// Makes the name this profile's own.
    func logIn(_ client: Client) async throws {
        let relay = try RelayURL(Pasted.trimmed(url))
        try refuseAnotherRelay(than: relay)
        // Both before any key is made: a mistyped command leaves nothing behind.
        let invitation = try code(client)
        let dialer = try client.dialer(to: relay, authorities: client.authorities)
        try refuseAnotherProfile(relay, client)
        let profile = try Profile.create(
            directory: client.directory, name: name, server: relay.description, caPath: client.authorities
        )
        for warning in profile.warnings { client.reporter.report(.warning(warning)) }
        // What a wrong clock has done to them is put right here, and nowhere else.
        _ = try PrekeyStore(client.directory).renewed(name: name, now: WallClock.milliseconds())
        let connector = client.connector(relay, dialer, profile)
        let registration = Registration(connector: connector) {
            guard let prompt = Prompt(reporter: client.reporter) else { return nil }
            return { question in await prompt.askSecret(question) }
        }
        try await registration.register(invitation)
        try profile.save()
        client.reporter.report(.notice("logged in to \(relay) as \(name)"))
        if let other = client.server, global.server == nil, (try? RelayURL(other)) != relay {
            let shown = DisplayName.escape(other)
            client.reporter.report(
                .warning("RELAY_SERVER names \(shown), which other commands use instead of \(relay)"))
        }
        if let fingerprint = profile.fingerprint { client.reporter.report(.detail("key \(fingerprint)")) }
    }

    private func code(_ client: Client) throws -> InvitationCode? {
        guard let text = invitation ?? client.environment[.invite] else { return nil }
        guard let code = InvitationCode(rawValue: Pasted.trimmed(text)) else {
            throw ClientError.command("the invitation is not a code that a relay makes; copy all of it", .usage)
        }
        return code
    }

    /// The relay stands in the command itself; an option that names another one is not to be guessed about.
    private func refuseAnotherRelay(than relay: RelayURL) throws {
        guard let text = global.server else { return }
        let other = try RelayURL(Pasted.trimmed(text))
        guard other != relay else { return }
        throw ClientError.command(
            "log in to \(relay), or to \(other)? leave --server out, or give its URL alone", .usage)
    }

    /// One profile holds one name at one relay: its keys must not pass to another name by mistake, and the peers it
    /// knows are others at another relay.
    private func refuseAnotherProfile(_ relay: RelayURL, _ client: Client) throws {
        guard let present = try? Profile.load(directory: client.directory) else { return }
        let isElsewhere = !hasMoved && (try? RelayURL(present.server)) != relay
        guard (present.name != name && !isRenamed) || isElsewhere else { return }
        throw ClientError.command(
            "the profile in \"\(DisplayName.escape(client.directory))\" is \(present) already; "
                + "use another one with --profile DIR"
                + (present.name == name
                    ? ", or say --moved if it is the same relay at another address"
                    : ", or say --renamed if the relay's operator has renamed \(present.name)"),
            .configuration
        )
    }
}
