// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// `relay-client fetch`.
struct FetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch",
        abstract: "Get files and folders that another client shares.",
        discussion: """
            Asks the sharing client, whose user need not do anything, and stores the files as receive does: existing \
            files are never overwritten, and the same command resumes an interrupted transfer. The command waits for a \
            sharer that is offline, for as long as --timeout allows; with --no-wait, 10 seconds without an answer are a \
            failure. Files that were not asked for are refused.

            Examples:
              relay-client fetch alice report.pdf
              relay-client fetch alice photos/2024 notes.txt --output ~/Downloads
              relay-client fetch alice photos --skip-existing
              relay-client fetch alice backup.tar --output - | tar x
              relay-client fetch alice report.pdf --no-wait
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Name of the user who shares.", completion: PeerCompletion.name,
        transform: { try PeerName.argument($0) })
    var sharer: PeerName

    // Empty, so that a mistyped option is told before a missing path.
    @Argument(help: "Paths to fetch, as list prints them.")
    var paths: [String] = []

    @Option(help: "Folder to store files in; - is standard output, for one file.", completion: .directory)
    var output = "."

    @Flag(
        name: .customLong("skip-existing"),
        help: "Skip files that exist already with the same size and time.")
    var skipsExisting = false

    @Flag(name: .customLong("preserve"), help: "Set permissions and make symbolic links as they are shared.")
    var keepsMetadata = false

    @Flag(name: .customLong("checksum"), help: "Print the SHA-256 of each file.")
    var printsChecksums = false

    @OptionGroup var waiting: WaitingOptions

    func validate() throws {
        _ = try query
        if output == "-", skipsExisting || keepsMetadata {
            let option = skipsExisting ? "--skip-existing" : "--preserve"
            throw ValidationError("\(option) is about files, and --output - makes none; leave one of them out")
        }
        if output == "-", paths.count > 1 {
            throw ValidationError("--output - is for one file; fetch the files with one command each")
        }
        if let mistake = UnexpandedHome.mistake(output, of: "--output") { throw ValidationError(mistake) }
    }

    func run() async throws {
        try await Client.run(global, contentOnStandardOutput: output == "-") { client in
            try await Self.fetch(request, client)
        }
    }

    /// What it is told to do.
    var request: FetchRequest {
        get throws {
            FetchRequest(
                sharer: sharer, query: try query, output: output, skipsExisting: skipsExisting,
                keepsMetadata: keepsMetadata, printsChecksums: printsChecksums, waits: waiting.waits,
                patience: waiting.patience
            )
        }
    }

    private var query: PullQuery {
        get throws {
            guard !paths.isEmpty else {
                throw ValidationError("name what to fetch; relay-client list \(sharer) shows what there is")
            }
            let paths = try paths.map { try PullPath.argument($0) }
            guard !paths.contains(.top) else { throw ValidationError("a path is empty") }
            guard let query = PullQuery(fetching: paths) else {
                throw ValidationError(
                    "two of the paths end in the same name, and one would take the place of the other: fetch them one "
                        + "after the other")
            }
            guard query.encoded != nil else {
                throw ValidationError("these are more paths than one request can name: fetch them in parts")
            }
            return query
        }
    }

    /// Fetches as `request` says.
    static func fetch(_ request: FetchRequest, _ client: Client) async throws {
        let receiving = ReceiveRequest(
            output: request.output, policy: ReceivePolicy(), existing: request.skipsExisting ? .skip : .keep,
            keepsMetadata: request.keepsMetadata
        )
        var settings = FetchSettings(
            sharer: request.sharer, query: request.query, output: try receiving.settings(client).output,
            patience: request.patience, waits: request.waits
        )
        settings.printsChecksums = request.printsChecksums
        let fetching = settings
        for line in fetching.output.removeOld(now: WallClock.milliseconds()) { client.reporter.report(.notice(line)) }
        try await client.run { environment, queue in Fetcher(fetching, environment: environment, queue: queue) }
    }
}

/// What `fetch` is told to do, by its own command line or by an earlier one that is gone on with.
struct FetchRequest: Hashable, Sendable {
    var sharer: PeerName
    var query: PullQuery
    /// A folder, or `-` for standard output.
    var output: String
    var skipsExisting = false
    var keepsMetadata = false
    var printsChecksums = false
    var waits = true
    var patience = TimeSpan.patience.amount
}

extension FetchRequest {
    /// What goes on with a transfer that an earlier `fetch` has begun; nil for what came unasked.
    init?(goingOnWith record: ReceivedRecord) {
        guard let fetched = record.fetched, let query = PullQuery(fetching: fetched.compactMap { try? PullPath($0) })
        else { return nil }
        self.init(
            sharer: record.sender.name, query: query, output: record.folder, keepsMetadata: record.keepsMetadata)
    }
}

extension PullPath {
    /// A path from the command line; a slash at its end does not matter.
    ///
    /// - Throws: `ValidationError` with what a path is.
    static func argument(_ text: String) throws -> PullPath {
        var text = text
        while text.count > 1, text.hasSuffix("/") { text.removeLast() }
        do throws(NameFault) { return try PullPath(text) } catch {
            throw ValidationError(
                "\"\(DisplayName.escape(text))\" is no path of something shared, such as list prints it: "
                    + (text.hasPrefix("/") ? "it begins with a slash" : "a name in it is none: \(error)"))
        }
    }
}
