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
            Runs until it is interrupted. Existing files are not overwritten: a second "a.txt" becomes "a (1).txt", \
            and a second folder "photos" becomes "photos (1)". Interrupted transfers are kept for a week, and resume \
            when the sender comes back.

            With --overwrite, a received file replaces the file of the same name, in one step, once the whole transfer \
            has arrived and is verified; the old file stays untouched until then. The files of a received folder are put \
            into the folder of the same name, whose other files stay. Links are not followed, and a file replaces \
            nothing but a file: where a folder or a link has its name, the file is stored as "a (1).txt", and a message \
            says so. A transfer that was begun with --overwrite resumes with it, and one without it resumes without.

            The policies of `peers policy` apply here, too, and the stricter of two rules applies: a sender whose policy \
            is to refuse or to ask is refused or asked about with --yes as well, and of two sizes the smaller one is the \
            limit. --output and --exec of the command line replace those of a policy. Without a terminal, an offer that \
            needs a question is declined at once.

            The command of --exec runs for each file and folder of a transfer, one after the other, without a shell \
            and without a time limit, and finds RELAY_FILE, RELAY_FROM, RELAY_SIZE and RELAY_TRANSFER in its \
            environment; $RELAY_FILE and the others may also stand among its arguments. The file is stored and \
            confirmed before the command runs: one that fails is reported, and changes nothing.

            Examples:
              relay-client receive --output ~/Downloads
              relay-client receive --from alice --yes --max-size 2G
              relay-client receive --from alice --yes --once --output - | tar x
              relay-client receive --from alice --yes --exec 'clamscan "$RELAY_FILE"'
            """
    )

    @OptionGroup var global: GlobalOptions

    @Option(
        help: "Folder to store files in (default: the current one); - is standard output, for one file.",
        completion: .directory)
    var output: String?

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

    @OptionGroup var exec: ExecOptions

    @Flag(
        name: .customLong("skip-existing"),
        help: "Skip files that exist already with the same size and time.")
    var skipsExisting = false

    @Flag(
        name: .customLong("overwrite"),
        help: "Replace files of the same name, and merge folders of the same name.")
    var replacesExisting = false

    @Flag(name: .customLong("preserve"), help: "Set permissions and make symbolic links as they were sent.")
    var keepsMetadata = false

    @Flag(name: .customLong("checksum"), help: "Print the SHA-256 of each file.")
    var printsChecksums = false

    func validate() throws {
        if output == "-", exec.isGiven {
            throw ValidationError(
                "--exec runs a command for each file, and --output - makes none; leave one of them out")
        }
        if skipsExisting, replacesExisting {
            throw ValidationError(
                "--skip-existing keeps the files that are there, and --overwrite replaces them; leave one of them out")
        }
        if output == "-", skipsExisting || replacesExisting || keepsMetadata {
            let option = skipsExisting ? "--skip-existing" : replacesExisting ? "--overwrite" : "--preserve"
            throw ValidationError("\(option) is about files, and --output - makes none; leave one of them out")
        }
        guard maxSize?.bytes != 0 else {
            throw ValidationError("--max-size 0 would decline every file that is not empty; write a size such as 500M")
        }
        if let mistake = output.flatMap({ UnexpandedHome.mistake($0, of: "--output") }) {
            throw ValidationError(mistake)
        }
    }

    func run() async throws {
        try await Client.run(global, contentOnStandardOutput: output == "-") { client in
            try await Self.receive(try request, client)
        }
    }

    /// What it is told to do.
    var request: ReceiveRequest {
        get throws {
            return ReceiveRequest(
                output: output,
                policy: ReceivePolicy(from: Set(senders), isTrusting: isTrusting, maximumSize: maxSize?.bytes),
                isOnce: isOnce, command: try exec.command,
                existing: skipsExisting ? .skip : replacesExisting ? .replace : .keep, keepsMetadata: keepsMetadata,
                printsChecksums: printsChecksums
            )
        }
    }

    /// Receives as `request` says.
    static func receive(_ request: ReceiveRequest, _ client: Client) async throws {
        try await client.run(receiver(request, client))
    }

    /// What receives as `request` says. Throws when it cannot.
    ///
    /// - Parameter alsoShares: whether the same session shares as well.
    static func receiver(
        _ request: ReceiveRequest, alsoShares: Bool = false, _ client: Client
    ) throws -> (SessionEnvironment, EventQueue<SessionEvent>) -> any SessionPart {
        let (policy, reporter) = (request.policy, client.reporter)
        _ = try client.profile()
        let policies = try PolicyStore(client.directory).list()
        let prompt = Prompt(reporter: reporter)
        guard policy.isTrusting || prompt != nil || policies.all.contains(where: { $0.policy.answer == .accept }) else {
            throw ClientError.command(
                "there is no terminal to ask on before accepting: say whom to take files from with relay-client peers "
                    + "policy NAME accept, or use --yes, and --from NAME to limit it",
                .refused
            )
        }
        if let mistake = request.command?.mistake(client.environment.variables) {
            throw ClientError.command(mistake, .usage)
        }
        var settings = try request.settings(client)
        settings.alsoShares = alsoShares
        let receiving = settings
        removeOld(settings, policies, reporter)
        return { environment, queue in
            if policy.isTrusting, policy.from.isEmpty {
                reporter.report(
                    .warning("--yes without --from: taking files from everyone on \(environment.relay)"))
            }
            return Receiver(receiving, ask: question(prompt), environment: environment, queue: queue)
        }
    }

    /// Removes what no sender came back for in a week, in each of the folders.
    private static func removeOld(_ settings: ReceiveSettings, _ policies: SenderPolicies, _ reporter: Reporter) {
        var outputs = [settings.output]
        for folder in Set(policies.all.compactMap(\.policy.folder)).sorted() {
            do throws(FileError) {
                if let parts = try settings.folders?.parts(in: folder) { outputs.append(.folder(parts)) }
            } catch {
                reporter.report(.warning("what a policy puts there is declined: \(error.message)"))
            }
        }
        for output in outputs {
            for line in output.removeOld(now: WallClock.milliseconds()) { reporter.report(.notice(line)) }
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
    /// A folder, or `-` for standard output; nil is the current folder, but for senders whose policy names one.
    var output: String?
    var policy: ReceivePolicy
    var isOnce = false
    var command: FileCommand?
    var existing = ExistingRule.keep
    var keepsMetadata = false
    var printsChecksums = false
    /// The only transfer that is taken; nil takes all.
    var only: CarriedTransfer?

    /// The settings of a receiver, with the place that it stores in opened. Throws when there is none.
    func settings(_ client: Client) throws -> ReceiveSettings {
        let warn: @Sendable (String) -> Void = { [reporter = client.reporter] in reporter.report(.warning($0)) }
        var settings = ReceiveSettings(policy: policy, output: try place(warn), isOnce: isOnce, command: command)
        settings.printsChecksums = printsChecksums
        settings.only = only
        settings.policies = PolicyStore(client.directory)
        if output == nil { settings.folders = SenderFolders(options: options, warn: warn) }
        return settings
    }

    private var options: ReceivedOptions {
        ReceivedOptions(keepsMetadata: keepsMetadata, existing: existing)
    }

    private func place(_ warn: @escaping @Sendable (String) -> Void) throws -> ReceiveOutput {
        guard output == "-" else {
            return .folder(
                ReceivedParts(directory: try ReceiveDirectory.open(output ?? ".", warn: warn), options: options))
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
