// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import TransferClient
import WSProtocol

/// `relay-client receive`.
struct ReceiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Receive files, and ask before accepting each of them.",
        discussion: """
            Runs until it is interrupted. Existing files are never overwritten: a second "a.txt" becomes "a (1).txt". \
            The command of --exec finds RELAY_FILE, RELAY_FROM, RELAY_SIZE and RELAY_TRANSFER in its environment.

            Examples:
              relay-client receive --output ~/Downloads
              relay-client receive --from alice --yes --max-size 2G
              relay-client receive --from alice --yes --once --output - | tar x
              relay-client receive --from alice --yes --exec 'clamscan "$RELAY_FILE"'
            """
    )

    @OptionGroup var global: GlobalOptions

    @Option(help: "Folder to store files in; - is standard output.")
    var output = "."

    @Option(
        name: .customLong("from"), parsing: .singleValue, help: "Accept files from this name only; repeatable.",
        transform: { try PeerName.argument($0) })
    var senders: [PeerName] = []

    @Flag(name: .customLong("yes"), help: "Accept without asking; use it together with --from.")
    var isTrusting = false

    @Flag(name: .customLong("once"), help: "Exit after the first file.")
    var isOnce = false

    @Option(help: "Decline larger files; such as 500M or 1.5G.", transform: { try ByteSize($0) })
    var maxSize: ByteSize?

    @Option(name: .customLong("exec"), help: "Shell command to run for each received file.")
    var command: String?

    func validate() throws {
        if output == "-", command != nil {
            throw ValidationError(
                "--exec runs a command for each file, and --output - makes none; leave one of them out")
        }
        if let mistake = UnexpandedHome.mistake(output, of: "--output") { throw ValidationError(mistake) }
    }

    func run() async throws {
        try await Client.run(global, contentOnStandardOutput: output == "-") { client in
            let prompt = isTrusting ? nil : Prompt(reporter: client.reporter)
            guard isTrusting || prompt != nil else {
                throw ClientError.command(
                    "there is no terminal to ask on before accepting; use --yes, and --from NAME to limit it",
                    .refused
                )
            }
            if output == "-", StandardStream.isClosed() {
                throw ClientError.command(
                    "standard output is closed; redirect it, or name a folder with --output", .cannotCreate)
            }
            if output == "-", StandardStream.isTerminal(STDOUT_FILENO) {
                throw ClientError.command("standard output is a terminal; redirect it, or name a folder", .usage)
            }
            let reporter = client.reporter
            let target: ReceiveOutput =
                output == "-"
                ? .standardOutput
                : .folder(try ReceiveDirectory.open(output) { remark in reporter.report(.warning(remark)) })
            let policy = ReceivePolicy(from: Set(senders), isTrusting: isTrusting, maximumSize: maxSize?.bytes)
            let settings = ReceiveSettings(policy: policy, output: target, isOnce: isOnce, command: command)
            try await client.run { environment, queue in
                if isTrusting, senders.isEmpty {
                    reporter.report(
                        .warning("--yes without --from: taking files from everyone on \(environment.relay)"))
                }
                return Receiver(settings, ask: Self.question(prompt), environment: environment, queue: queue)
            }
        }
    }

    /// How to ask whether to accept; nil without a way to ask.
    private static func question(_ prompt: Prompt?) -> (@Sendable (TransferLabel) async -> Bool)? {
        guard let prompt else { return nil }
        return { label in await prompt.ask(ReportText.question(accepting: label)) == true }
    }
}
