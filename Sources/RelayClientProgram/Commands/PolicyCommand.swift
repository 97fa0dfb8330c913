// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import FoundationEssentials
import Glibc
import TransferClient
import WSProtocol

extension PeersCommand {
    /// `relay-client peers policy`
    struct Policy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "policy",
            abstract: "Show or set how receive answers the offers of a peer, instead of asking each time.",
            discussion: """
                Without a name, prints all policies; with a name alone, that one. Options that are given change the \
                policy, and its other parts stay. A policy belongs to a name, and applies to the identity that is pinned \
                under it, from the first contact on; another identity is refused in any case. A receive that runs \
                follows a change from the next offer on.

                Examples:
                  relay-client peers policy alice accept --output ~/From/alice --max-size 2G --max-day 20G
                  relay-client peers policy alice --exec 'clamscan "$RELAY_FILE"'
                  relay-client peers policy mallory refuse
                  relay-client peers policy alice --clear
                """
        )

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name.", completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
        var name: PeerName?

        @Argument(
            help: "How to answer an offer: ask, accept or refuse.",
            completion: .list(SenderPolicy.Answer.allCases.map(\.rawValue)), transform: { try answer($0) })
        var answer: SenderPolicy.Answer?

        @Option(help: "Folder for the files of this peer.", completion: .directory)
        var output: String?

        @Option(help: "Decline larger transfers; such as 500M or 1.5G.", transform: { try ByteSize($0) })
        var maxSize: ByteSize?

        @Option(help: "Decline transfers that exceed this sum of a day.", transform: { try ByteSize($0) })
        var maxDay: ByteSize?

        @OptionGroup var exec: ExecOptions

        @Flag(name: .customLong("clear"), help: "Remove the policy: receive asks again.")
        var isCleared = false

        func validate() throws {
            if isCleared, changes || name == nil {
                throw ValidationError("--clear removes the policy of one name, and goes with nothing else")
            }
            guard name != nil || !changes else { throw ValidationError("name the peer that this is about") }
            guard let output else { return }
            if let mistake = UnexpandedHome.mistake(output, of: "--output") { throw ValidationError(mistake) }
            if output == "-" {
                throw ValidationError("a policy names a folder; standard output is for receive --once alone")
            }
            guard output.utf8.count <= Defaults.maximumPolicyText else { throw ValidationError("--output is too long") }
        }

        /// Whether anything is to be changed.
        private var changes: Bool {
            answer != nil || output != nil || maxSize != nil || maxDay != nil || exec.isGiven
        }

        func run() async throws { try await Client.run(global) { try apply($0) } }

        func apply(_ client: Client) throws {
            _ = try client.profile()
            let store = PolicyStore(client.directory)
            guard let name else { return try showAll(store, client) }
            if isCleared { return try clear(name, store, client) }
            if changes { return try set(name, store, client) }
            guard let policy = try store.policy(for: name) else {
                throw ClientError.command(
                    "there is no policy for \(name), so receive asks; to set one: relay-client peers policy \(name) "
                        + "ask|accept|refuse",
                    .usage
                )
            }
            try show([(name, policy)], store, client)
        }

        private func showAll(_ store: PolicyStore, _ client: Client) throws {
            let all = try store.list().all
            if all.isEmpty, !global.json {
                return client.reporter.report(.notice("there are no policies: receive asks about each transfer"))
            }
            try show(all, store, client)
        }

        private func clear(_ name: PeerName, _ store: PolicyStore, _ client: Client) throws {
            guard try store.policy(for: name) != nil else {
                throw ClientError.command("there is no policy for \(name)", .usage)
            }
            try store.change(name) { $0 = nil }
            client.reporter.report(.notice("there is no policy for \(name) any more: receive asks"))
        }

        private func set(_ name: PeerName, _ store: PolicyStore, _ client: Client) throws {
            let folder = try output.map(Self.folder)
            let command = try exec.command
            try check(command, client)
            guard try answer ?? store.policy(for: name)?.answer != nil else {
                throw ClientError.command(
                    "there is no policy for \(name) yet: say ask, accept or refuse as well", .usage)
            }
            let policy = try store.change(name) { policy in
                var changed = policy ?? SenderPolicy(answer ?? .ask)
                changed.answer = answer ?? changed.answer
                changed.folder = folder ?? changed.folder
                changed.maximumSize = maxSize?.bytes ?? changed.maximumSize
                changed.maximumDay = maxDay?.bytes ?? changed.maximumDay
                changed.command = command ?? changed.command
                policy = changed
            }
            guard let policy else { return }
            try show([(name, policy)], store, client)
            guard try PeerStore(client.directory).pin(of: name) == nil else { return }
            client.reporter.report(
                .notice(
                    "there was no contact with \(name) yet: it holds for whom the relay names at the first one; "
                        + "to say who it has to be: relay-client peers add \(name) FINGERPRINT"))
        }

        private func check(_ command: FileCommand?, _ client: Client) throws {
            guard let command else { return }
            guard command.text.utf8.count <= Defaults.maximumPolicyText else {
                throw ClientError.command("--exec is too long: write it into a script", .usage)
            }
            if let mistake = command.mistake(client.environment.variables) {
                throw ClientError.command(mistake, .usage)
            }
            if !command.isShell, command.program.contains("/"), !command.program.hasPrefix("/") {
                throw ClientError.command(
                    "--exec: a policy holds in any folder: write the whole path of \(DisplayName.escape(command.program))",
                    .usage
                )
            }
        }

        /// The whole path of a folder that there is.
        private static func folder(_ path: String) throws -> String { try ReceiveDirectory.open(path).path }

        private static func answer(_ text: String) throws -> SenderPolicy.Answer {
            if let answer = SenderPolicy.Answer(rawValue: Pasted.trimmed(text)) { return answer }
            throw ValidationError("a policy is to ask, accept or refuse")
        }

        // MARK: - Shown

        private func show(
            _ policies: [(name: PeerName, policy: SenderPolicy)], _ store: PolicyStore, _ client: Client
        ) throws {
            var rows: [[String]] = []
            for (name, policy) in policies {
                let today =
                    try policy.maximumDay == nil
                    ? nil : store.bytesToday(from: name, now: WallClock.milliseconds())
                rows.append(Self.row(name, policy, today: today))
                guard global.json else { continue }
                var line = PolicyLine(name, policy)
                (line.event, line.today) = ("policy", today)
                if let text = JSONLine.text(of: line) { client.reporter.answer(text) }
            }
            if !global.json { for line in TextTable.lines(rows) { client.reporter.answer(line) } }
        }

        static func row(_ name: PeerName, _ policy: SenderPolicy, today: UInt64?) -> [String] {
            var limits: [String] = []
            if let size = policy.maximumSize { limits.append("at most \(ByteFormat.string(size))") }
            if let day = policy.maximumDay {
                limits.append("\(ByteFormat.string(day)) a day, \(ByteFormat.string(today ?? 0)) today")
            }
            return [
                name.rawValue, policy.answer.rawValue,
                policy.folder.map { "to \"\(DisplayName.path($0))\"" } ?? "", limits.joined(separator: "; "),
                policy.command.map { "\($0.isShell ? "shell" : "runs"): \(DisplayName.line($0.text))" } ?? "",
            ]
        }
    }
}
