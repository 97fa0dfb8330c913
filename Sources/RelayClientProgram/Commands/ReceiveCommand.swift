// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import Sealing
import TransferClient
import WSProtocol

/// `relay-client receive`.
struct ReceiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Receive files and folders, and ask before accepting each transfer.",
        discussion: """
            Runs until it is interrupted. Existing files are never overwritten: a second "a.txt" becomes "a (1).txt", \
            and a second folder "photos" becomes "photos (1)". What was interrupted is kept for a week, and goes on when \
            the sender comes back. The command of --exec runs for each file and folder of the transfer itself, and finds RELAY_FILE, RELAY_FROM, RELAY_SIZE and RELAY_TRANSFER in its environment.

            Examples:
              relay-client receive --output ~/Downloads
              relay-client receive --from alice --yes --max-size 2G
              relay-client receive --from alice --yes --once --output - | tar x
              relay-client receive --from alice --yes --exec 'clamscan "$RELAY_FILE"'
            """
    )

    @OptionGroup var global: GlobalOptions

    @Option(help: "Folder to store files in; - is standard output, for one file.", completion: .directory)
    var output = "."

    @Option(
        name: .customLong("from"), parsing: .singleValue, help: "Accept transfers from this name only; repeatable.",
        completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
    var senders: [PeerName] = []

    @Flag(name: .customLong("yes"), help: "Accept without asking; use it together with --from.")
    var isTrusting = false

    @Flag(name: .customLong("once"), help: "Exit after the first transfer.")
    var isOnce = false

    @Option(help: "Decline larger transfers; such as 500M or 1.5G.", transform: { try ByteSize($0) })
    var maxSize: ByteSize?

    @Option(name: .customLong("exec"), help: "Shell command to run for each received file or folder.")
    var command: String?

    @Flag(
        name: .customLong("skip-existing"),
        help: "Do not receive files that are there already with the same size and time.")
    var skipsExisting = false

    @Flag(name: .customLong("preserve"), help: "Set permissions and make symbolic links as they were sent.")
    var keepsMetadata = false

    @Flag(name: .customLong("checksum"), help: "Print the SHA-256 of each file.")
    var printsChecksums = false

    func validate() throws {
        if output == "-", command != nil {
            throw ValidationError(
                "--exec runs a command for each file, and --output - makes none; leave one of them out")
        }
        if output == "-", skipsExisting || keepsMetadata {
            let option = skipsExisting ? "--skip-existing" : "--preserve"
            throw ValidationError("\(option) is about files, and --output - makes none; leave one of them out")
        }
        guard maxSize?.bytes != 0 else {
            throw ValidationError("--max-size 0 would decline every file that is not empty; write a size such as 500M")
        }
        if let mistake = UnexpandedHome.mistake(output, of: "--output") { throw ValidationError(mistake) }
    }

    func run() async throws {
        try await Client.run(global, contentOnStandardOutput: output == "-") { client in
            try await Self.receive(request, client)
        }
    }

    /// What it is told to do.
    var request: ReceiveRequest {
        ReceiveRequest(
            output: output,
            policy: ReceivePolicy(from: Set(senders), isTrusting: isTrusting, maximumSize: maxSize?.bytes),
            isOnce: isOnce, command: command, skipsExisting: skipsExisting, keepsMetadata: keepsMetadata,
            printsChecksums: printsChecksums
        )
    }

    /// Receives as `request` says.
    static func receive(_ request: ReceiveRequest, _ client: Client) async throws {
        let (policy, reporter) = (request.policy, client.reporter)
        let prompt = policy.isTrusting ? nil : Prompt(reporter: reporter)
        guard policy.isTrusting || prompt != nil else {
            throw ClientError.command(
                "there is no terminal to ask on before accepting; use --yes, and --from NAME to limit it",
                .refused
            )
        }
        let settings = try request.settings(reporter)
        for line in settings.output.removeOld(now: WallClock.milliseconds()) { reporter.report(.notice(line)) }
        try await client.run { environment, queue in
            if policy.isTrusting, policy.from.isEmpty {
                reporter.report(
                    .warning("--yes without --from: taking files from everyone on \(environment.relay)"))
            }
            return Receiver(settings, ask: question(prompt), environment: environment, queue: queue)
        }
    }

    /// How to ask whether to accept; nil without a way to ask.
    private static func question(_ prompt: Prompt?) -> (@Sendable (OfferQuestion) async -> Bool)? {
        guard let prompt else { return nil }
        return { question in await prompt.ask(question.text) == true }
    }
}

/// What `receive` is told to do, by its own command line or to go on with one transfer.
struct ReceiveRequest: Hashable, Sendable {
    /// A folder, or `-` for standard output.
    var output: String
    var policy: ReceivePolicy
    var isOnce = false
    var command: String?
    var skipsExisting = false
    var keepsMetadata = false
    var printsChecksums = false
    /// The only transfer that is taken; nil takes all.
    var only: CarriedTransfer?

    /// The same with the place opened. Throws when there is none.
    func settings(_ reporter: Reporter) throws -> ReceiveSettings {
        var settings = ReceiveSettings(policy: policy, output: try place(reporter), isOnce: isOnce, command: command)
        settings.printsChecksums = printsChecksums
        settings.only = only
        return settings
    }

    private func place(_ reporter: Reporter) throws -> ReceiveOutput {
        guard output == "-" else {
            let directory = try ReceiveDirectory.open(output) { remark in reporter.report(.warning(remark)) }
            let options = ReceivedOptions(keepsMetadata: keepsMetadata, skipsExisting: skipsExisting)
            return .folder(ReceivedParts(directory: directory, options: options))
        }
        if StandardStream.isClosed() {
            throw ClientError.command(
                "standard output is closed; redirect it, or name a folder with --output", .cannotCreate)
        }
        if StandardStream.isTerminal(STDOUT_FILENO) {
            throw ClientError.command("standard output is a terminal; redirect it, or name a folder", .usage)
        }
        return .standardOutput
    }
}
