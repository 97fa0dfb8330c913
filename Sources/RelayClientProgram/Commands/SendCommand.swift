// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// `relay-client send`.
struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send files and folders, and wait until they are delivered.",
        discussion: """
            Sends all of it as one transfer to each receiver, sealed so that only the receiver can read it, and prints \
            "delivered" once the receiver has verified and stored everything. Each of several receivers gets a transfer \
            of its own, and waits for no other. Standard input goes to all of them at the pace of the slowest, which is \
            dropped when it takes nothing for 60 s. A transfer that is cut resumes where it stopped, for as long as \
            --timeout allows; the same command resumes one that was interrupted.

            Examples:
              relay-client send bob report.pdf
              relay-client send bob,carol photos notes.txt
              relay-client send bob project --exclude .git --exclude '*.o'
              relay-client send bob disk.iso --timeout 2h
              relay-client send bob report.pdf --no-wait
              tar c photos | relay-client send bob -
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "The receivers: NAME[,NAME...].", completion: PeerCompletion.names, transform: { try PeerList($0) })
    var receivers: PeerList

    // Empty, so that a mistyped option is told before a missing file.
    @Argument(
        help: "Files and folders to send; - is standard input. Write ./-name for a file called -name.",
        completion: .file())
    var paths: [String] = []

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Leave out names that match, such as '*.o' or .git, in the folders that are sent; repeatable.",
            valueName: "pattern"))
    var exclude: [String] = []

    @Flag(name: .customLong("preserve"), help: "Send permissions and symbolic links too.")
    var keepsMetadata = false

    @Flag(name: .customLong("checksum"), help: "Print the SHA-256 of each file.")
    var printsChecksums = false

    @Option(
        name: .customLong("verify"), parsing: .singleValue,
        help: ArgumentHelp(
            "Send to NAME only if its fingerprint, which whoami prints there, is this one; repeatable.",
            valueName: "name=fingerprint"),
        transform: { try ExpectedPeer($0) })
    var expected: [ExpectedPeer] = []

    @OptionGroup var waiting: WaitingOptions

    func validate() throws {
        if let other = expected.first(where: { !receivers.names.contains($0.name) })?.name {
            throw ValidationError("--verify names \(other), to whom nothing is sent")
        }
        guard !exclude.contains("") else {
            throw ValidationError("--exclude needs a pattern, such as '*.o' in quotes")
        }
        guard !paths.isEmpty else {
            throw ValidationError("name at least one file; one whose name begins with - is written ./-name")
        }
        for path in paths where path != "-" {
            if let mistake = UnexpandedHome.mistake(path, of: "send") { throw ValidationError(mistake) }
        }
        let standardInputs = paths.count { $0 == "-" }
        guard standardInputs < 2 else {
            throw ValidationError("\"-\" is given more than once: standard input can be read only once")
        }
        guard standardInputs == 0 || receivers.names.count <= TransferDefaults.parallelReceivers else {
            throw ValidationError(
                "standard input goes to all receivers at once, and to \(TransferDefaults.parallelReceivers) at most")
        }
        guard standardInputs == 0 || paths.count == 1 else {
            throw ValidationError("standard input is sent by itself; send the files with another command")
        }
    }

    func run() async throws {
        try await Client.run(global) { client in try await Self.send(settings, client) }
    }

    /// What it is told to do.
    var settings: SendSettings {
        SendSettings(
            receivers: receivers.names, paths: paths, exclude: exclude, keepsMetadata: keepsMetadata,
            printsChecksums: printsChecksums, waits: waiting.waits, patience: waiting.patience, expected: expected
        )
    }

    /// Sends as `settings` say.
    static func send(_ settings: SendSettings, _ client: Client) async throws {
        try expect(settings.expected, PeerStore(client.directory), now: WallClock.milliseconds())
        // Every file is looked at before the receiver is asked.
        let jobs = try await jobs(settings, client)
        try await client.run { environment, queue in
            Sender(
                jobs, waits: settings.waits, patience: settings.patience, environment: environment, queue: queue)
        }
    }

    /// Keeps the fingerprints in mind that came another way. Throws when another identity is pinned than one of them.
    static func expect(_ expected: [ExpectedPeer], _ peers: PeerStore, now: UInt64) throws {
        for peer in expected {
            guard case .contradicts(let pinned) = try peers.add(peer.name, peer.fingerprint, now: now) else { continue }
            throw ClientError.command(
                "--verify gives \(peer.fingerprint) for \(peer.name), who is known as \(pinned): nothing is sent; ask "
                    + "\(peer.name) which one is right, and if it is the new one: relay-client peers forget \(peer.name)",
                .refused
            )
        }
    }

    private static func jobs(_ settings: SendSettings, _ client: Client) async throws -> [SendJob] {
        let (paths, reporter) = (settings.paths, client.reporter)
        let options = SourceOptions(exclude: settings.exclude, keepsMetadata: settings.keepsMetadata)
        if paths == ["-"] { return try inputJobs(settings, options) }
        let tree = try await BlockingWork.files.run {
            try SourceTree.scan(paths, options) { remark in reporter.report(.warning(remark)) }
        }
        return try settings.receivers.map { peer in
            let begun = try begun(peer, tree, options, client)
            return SendJob(
                peer: peer, tree: tree, options: options, printsChecksums: settings.printsChecksums, goingOnWith: begun
            )
        }
    }

    /// Standard input for one receiver, or for all of them at once.
    private static func inputJobs(
        _ settings: SendSettings, _ options: SourceOptions
    ) throws(FileError) -> [SendJob] {
        let receivers = settings.receivers
        let input = SharedInput(descriptor: STDIN_FILENO)
        var jobs: [SendJob] = []
        for (number, peer) in receivers.enumerated() {
            let pipe =
                receivers.count == 1
                ? SourcePipe(descriptor: STDIN_FILENO) : SourcePipe(input, branch: number)
            let tree = try SourceTree.standardInput(name: Defaults.standardInputName, pipe: pipe)
            jobs.append(
                SendJob(peer: peer, tree: tree, options: options, printsChecksums: settings.printsChecksums))
        }
        return jobs
    }

    /// The transfer of the same to the same receiver that an earlier run has begun.
    private static func begun(
        _ peer: PeerName, _ tree: SourceTree, _ options: SourceOptions, _ client: Client
    ) throws -> CarriedTransfer? {
        guard !tree.readsPipe, let key = try PeerStore(client.directory).pin(of: peer)?.key else { return nil }
        let records = TransferRecords(client.directory)
        let record = try records.sending(
            to: Party(name: peer, identity: key), paths: tree.paths, exclude: options.exclude,
            keepsMetadata: options.keepsMetadata, now: WallClock.milliseconds()
        )
        guard let record else { return nil }
        guard record.state == tree.state else {
            client.reporter.report(
                .notice("what \(peer) has of this is of files that have changed since: it is sent from the beginning"))
            try records.forget(record.transfer, .send)
            return nil
        }
        return record.transfer
    }
}

/// What `send` is told to do, by its own command line or by an earlier one that is gone on with.
struct SendSettings: Hashable, Sendable {
    var receivers: [PeerName]
    /// Of files and folders, or only `-`.
    var paths: [String]
    /// The patterns of what is left out.
    var exclude: [String] = []
    /// Whether permissions and links are sent.
    var keepsMetadata = false
    var printsChecksums = false
    /// Whether receivers who are not there are waited for.
    var waits = true
    /// How long to go on while no bytes flow.
    var patience = TransferDefaults.patience
    /// Whose fingerprints came another way.
    var expected: [ExpectedPeer] = []
}

/// `NAME=FINGERPRINT`: who a name has to be.
struct ExpectedPeer: Hashable, Sendable {
    let name: PeerName
    let fingerprint: Fingerprint

    init(name: PeerName, fingerprint: Fingerprint) {
        self.name = name
        self.fingerprint = fingerprint
    }

    /// - Throws: `ValidationError` when it is not written so.
    init(_ text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw ValidationError("write NAME=FINGERPRINT, such as bob=4q7xm-0c2ke-...") }
        self.init(
            name: try PeerName.argument(String(parts[0])), fingerprint: try Fingerprint.argument(String(parts[1])))
    }
}

extension Fingerprint {
    /// A fingerprint from the command line.
    /// - Throws: `ValidationError` with what one is.
    static func argument(_ text: String) throws -> Fingerprint {
        if let fingerprint = Fingerprint(text: Pasted.trimmed(text)) { return fingerprint }
        throw ValidationError(
            "a fingerprint has 25 letters and digits, such as relay-client whoami prints it: copy all of it")
    }
}

/// `NAME[,NAME...]`: who a file goes to. No name comes twice.
struct PeerList: Hashable, Sendable {
    let names: [PeerName]

    /// - Throws: `ValidationError` when there is no name, or one that no relay could have.
    init(_ text: String) throws { names = try PeerName.list(text) }
}

extension TimeSpan {
    /// The time span as a value of NIO.
    var amount: TimeAmount { .milliseconds(milliseconds) }
}
