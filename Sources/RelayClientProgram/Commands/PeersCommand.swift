// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Sealing
import TransferClient
import WSProtocol

/// `relay-client peers`
struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers",
        abstract: "Show and verify the identities of the peers that this profile knows.",
        discussion: """
            The identity of a name is pinned at the first contact, and another one is refused from then on. Only a \
            comparison of fingerprints between two people makes certain that the first one is right.
            """,
        subcommands: [List.self, Verify.self, Add.self, Forget.self, Policy.self], defaultSubcommand: List.self
    )

    /// One peer, for programs.
    struct Line: Encodable {
        var event = "peer"
        var name: PeerName
        var fingerprint: String
        var verified: Bool
        /// Whether there was contact, so that the identity itself is known.
        var met: Bool
        var since: String

        init(_ peer: KnownPeer) {
            name = peer.name
            fingerprint = peer.pin.fingerprint.description
            verified = peer.pin.isVerified
            met = peer.pin.key != nil
            since = WallClock.timestamp(peer.pin.since)
        }
    }

    /// Writes one peer for programs.
    fileprivate static func answer(_ peer: KnownPeer, _ client: Client) {
        if let line = JSONLine.text(of: Line(peer)) { client.reporter.answer(line) }
    }

    /// `relay-client peers list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Print each peer, whether it is verified, and its fingerprint."
        )

        @OptionGroup var global: GlobalOptions

        func run() async throws { try await Client.run(global) { try list($0) } }

        func list(_ client: Client) throws {
            _ = try client.profile()
            let peers = try PeerStore(client.directory).list()
            guard !global.json else {
                for peer in peers { PeersCommand.answer(peer, client) }
                return
            }
            guard !peers.isEmpty else {
                return client.reporter.report(.notice("no peers are known; each is, from the first contact on"))
            }
            for line in Self.table(peers) { client.reporter.answer(line) }
        }

        static func table(_ peers: [KnownPeer]) -> [String] {
            let rows = peers.map { peer in
                [
                    peer.name.rawValue, peer.pin.isVerified ? "verified" : "not verified",
                    peer.pin.fingerprint.description,
                    (peer.pin.key == nil ? "no contact yet, added " : "since ") + WallClock.local(peer.pin.since),
                ]
            }
            return TextTable.lines(rows)
        }
    }

    /// `relay-client peers verify`
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify",
            abstract: "Compare fingerprints with a peer after the first contact.",
            discussion: """
                Prints the fingerprints of both sides, and asks whether they agree, after two people have read them to \
                each other without the relay, for example on the phone.
                """
        )

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name.", completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
        var name: PeerName

        func run() async throws {
            try await Client.run(global) { client in
                let prompt = Prompt(reporter: client.reporter)
                guard let prompt else { return try await verify(client, ask: nil) }
                try await verify(client) { question in await prompt.ask(question) }
            }
        }

        /// - Parameter ask: asks the person; nil without a terminal.
        func verify(_ client: Client, ask: (@Sendable (String) async -> Bool?)?) async throws {
            let (profile, store) = (try client.profile(), PeerStore(client.directory))
            guard let pin = try store.pin(of: name) else {
                throw ClientError.command(
                    "there was no contact with \(name) yet; to add a fingerprint that the user has given you: "
                        + "relay-client peers add \(name) FINGERPRINT",
                    .usage
                )
            }
            show(pin.fingerprint, profile, client)
            if pin.isVerified { return client.reporter.report(.notice("\(name) is verified already")) }
            guard let ask else {
                throw ClientError.command(
                    "there is no terminal to ask on; if the fingerprint is the right one: "
                        + "relay-client peers add \(name) \(pin.fingerprint)",
                    .refused
                )
            }
            guard try await client.interrupt.bounded({ () async throws(ClientError) in await ask(question) }) == true
            else {
                throw ClientError.command(
                    "\(name) is not verified; if the fingerprints differ, someone else may be behind the name: send "
                        + "nothing, and ask \(name) on another way",
                    .refused
                )
            }
            // What was looked at: another process may have met another one meanwhile.
            let addition = try store.add(name, pin.fingerprint, now: WallClock.milliseconds())
            if case .contradicts(let pinned) = addition { throw PeersCommand.contradiction(name, pinned) }
            client.reporter.report(.notice("\(name) is verified"))
        }

        private var question: String { "Do both of you see the same two?" }

        private func show(_ fingerprint: Fingerprint, _ profile: Profile, _ client: Client) {
            let own = profile.fingerprint?.description ?? ""
            guard !global.json else {
                let line = Comparison(name: name, fingerprint: fingerprint.description, own: own)
                if let text = JSONLine.text(of: line) { client.reporter.answer(text) }
                return
            }
            client.reporter.answer("Read these to each other, on the phone for example:")
            for line in TextTable.lines([
                ["", name.rawValue, fingerprint.description], ["", "\(profile.name) (you)", own],
            ]) { client.reporter.answer(line) }
        }

        private struct Comparison: Encodable {
            var event = "verify"
            var name: PeerName
            var fingerprint: String
            var own: String
        }
    }

    /// `relay-client peers add`
    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract:
                "Add a fingerprint that a peer has given you without the relay, before or after the first contact.",
            discussion: """
                From then on, no other identity is accepted under the name. The other side prints its fingerprint with \
                whoami. Example:
                  relay-client peers add bob 4q7xm-0c2ke-8ttwz-9h3vn-51rdb
                """
        )

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name.", transform: { try PeerName.argument($0) })
        var name: PeerName

        @Argument(help: "The fingerprint; groups may be separated by blanks or hyphens.")
        var fingerprint: [String]

        func validate() throws { _ = try parsed }

        private var parsed: Fingerprint {
            get throws { try Fingerprint.argument(fingerprint.joined(separator: " ")) }
        }

        func run() async throws { try await Client.run(global) { try add($0) } }

        func add(_ client: Client) throws {
            _ = try client.profile()
            let (store, wanted) = (PeerStore(client.directory), try parsed)
            switch try store.add(name, wanted, now: WallClock.milliseconds()) {
            case .added:
                client.reporter.report(
                    .notice("\(name) has to be \(wanted) from the first contact on"))
            case .confirmed: client.reporter.report(.notice("\(name) is verified"))
            case .contradicts(let pinned): throw PeersCommand.contradiction(name, pinned)
            }
            if global.json, let pin = try store.pin(of: name) {
                PeersCommand.answer(KnownPeer(name: name, pin: pin), client)
            }
        }
    }

    /// `relay-client peers forget`
    struct Forget: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forget",
            abstract: "Forget the identity of a peer: the next contact counts as the first.",
            discussion: """
                For a peer whose identity has changed, for example with a new computer, and whose user has told you so \
                without the relay.
                """
        )

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name.", completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
        var name: PeerName

        func run() async throws { try await Client.run(global) { try forget($0) } }

        func forget(_ client: Client) throws {
            _ = try client.profile()
            guard try PeerStore(client.directory).forget(name) else {
                throw ClientError.command("\(name) is not known; relay-client peers lists who is", .usage)
            }
            client.reporter.report(.notice("\(name) is forgotten; the next contact is the first again"))
            guard let policy = try PolicyStore(client.directory).policy(for: name), policy.answer == .accept else {
                return
            }
            client.reporter.report(
                .warning(
                    "what the next user called \(name) sends is accepted unasked, as the policy says; to end that: "
                        + "relay-client peers policy \(name) --clear"))
        }
    }

    /// Another fingerprint is pinned.
    fileprivate static func contradiction(_ name: PeerName, _ pinned: Fingerprint) -> ClientError {
        .command(
            "\(name) is known as \(pinned), which is another fingerprint; ask \(name) which one is right, and if it is "
                + "the new one: relay-client peers forget \(name)",
            .refused
        )
    }
}
