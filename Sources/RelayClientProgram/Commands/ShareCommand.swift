// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TransferClient
import WSProtocol

/// `relay-client share`.
struct ShareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Let others list and fetch files and folders.",
        discussion: """
            Runs until it is interrupted. Others see each file and folder under its last name, with the content that it \
            has when they ask, and fetch it without a question here. Users whom --with does not name cannot tell that \
            anything is shared. Links are never followed, so that nothing outside the shared folders is read. With \
            --receive, the same session receives as well.

            Examples:
              relay-client share ~/Public
              relay-client share report.pdf photos --with bob --with carol
              relay-client share ~/Public --with bob --receive ~/Downloads --from bob --yes
            """
    )

    @OptionGroup var global: GlobalOptions

    // Empty, so that a mistyped option is told before a missing file.
    @Argument(help: "Files and folders to share. Write ./-name for a file called -name.", completion: .file())
    var paths: [String] = []

    @Option(
        name: .customLong("with"), parsing: .singleValue,
        help: "Share with this name only; repeatable. Without it, everyone on the relay may fetch.",
        completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
    var peers: [PeerName] = []

    @Flag(name: .customLong("preserve"), help: "Send permissions and symbolic links too.")
    var keepsMetadata = false

    @Option(help: ArgumentHelp("Receive into this folder as well.", valueName: "folder"), completion: .directory)
    var receive: String?

    @Option(
        name: .customLong("from"), parsing: .singleValue,
        help: "With --receive: accept transfers from this name only; repeatable.",
        completion: PeerCompletion.name, transform: { try PeerName.argument($0) })
    var senders: [PeerName] = []

    @Flag(name: .customLong("yes"), help: "With --receive: accept without asking; use it together with --from.")
    var isTrusting = false

    @Option(
        help: "With --receive: decline larger transfers; such as 500M or 1.5G.", transform: { try ByteSize($0) })
    var maxSize: ByteSize?

    func validate() throws {
        guard !paths.isEmpty else {
            throw ValidationError("name at least one file or folder; one whose name begins with - is written ./-name")
        }
        for path in paths {
            if path == "-" { throw ValidationError("standard input cannot be shared: write it to a file") }
            if let mistake = UnexpandedHome.mistake(path, of: "share") { throw ValidationError(mistake) }
        }
        if let receive {
            if receive == "-" { throw ValidationError("--receive needs a folder") }
            if let mistake = UnexpandedHome.mistake(receive, of: "--receive") { throw ValidationError(mistake) }
        } else if !senders.isEmpty || isTrusting || maxSize != nil {
            throw ValidationError(
                "--from, --yes and --max-size are about what is received: name a folder with --receive")
        }
    }

    func run() async throws { try await Client.run(global) { client in try await share(client) } }

    /// What it receives beside, where it does.
    var receiving: ReceiveRequest? {
        receive.map { folder in
            ReceiveRequest(
                output: folder,
                policy: ReceivePolicy(from: Set(senders), isTrusting: isTrusting, maximumSize: maxSize?.bytes))
        }
    }

    private func share(_ client: Client) async throws {
        let (paths, options, reporter) = (paths, SourceOptions(keepsMetadata: keepsMetadata), client.reporter)
        var settings = ShareSettings(
            tree: try await BlockingWork.files.run { try SharedTree(paths, options) }, with: peers,
            alsoReceives: receive != nil
        )
        settings.with = peers.reduce(into: []) { names, name in if !names.contains(name) { names.append(name) } }
        let receiver = try receiving.map { try ReceiveCommand.receiver($0, alsoShares: true, client) }
        let (environment, queue) = (try client.connector().environment, EventQueue<SessionEvent>())
        if settings.with.isEmpty {
            reporter.report(.warning("without --with: everyone on \(environment.relay) may fetch what is shared"))
        }
        var parts: [any SessionPart] = [Sharer(settings, environment: environment, queue: queue)]
        if let receiver { parts.append(receiver(environment, queue)) }
        try await client.run(parts, environment, queue)
    }
}
