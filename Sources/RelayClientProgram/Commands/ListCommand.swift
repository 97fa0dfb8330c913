// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Sealing
import TransferClient
import WSProtocol

/// `relay-client list`.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show what another client shares with you.",
        discussion: """
            Prints the names that are shared, or the names in a shared folder, with the sizes of files. For a user who \
            shares on several computers, the list has the names of all of them. With --no-wait, 10 seconds without an \
            answer are a failure.

            Examples:
              relay-client list alice
              relay-client list alice photos/2024 --long
              relay-client list alice --json
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Name of the user who shares.", completion: PeerCompletion.name,
        transform: { try PeerName.argument($0) })
    var sharer: PeerName

    @Argument(help: "A folder or file in it.", transform: { try PullPath.argument($0) })
    var path: PullPath = .top

    @Flag(name: .customLong("long"), help: "Print exact sizes and times too.")
    var isLong = false

    @OptionGroup var waiting: WaitingOptions

    func run() async throws {
        try await Client.run(global) { client in
            let collection = ListingCollection()
            let settings = FetchSettings(
                sharer: sharer, query: .list(path), output: .listing(collection), patience: waiting.patience,
                waits: waiting.waits
            )
            var failure: ExitCode?
            do {
                try await client.run { environment, queue in Fetcher(settings, environment: environment, queue: queue) }
            } catch let error as ExitCode {
                failure = error
            }
            // Where the answer of one computer is of no use, that of another one is.
            if failure == nil || collection.count > 0 { show(collection.entries, client.reporter) }
            if let failure { throw failure }
        }
    }

    private func show(_ entries: [ListedEntry], _ reporter: Reporter) {
        if global.json {
            for line in entries.compactMap({ ListedLine($0, in: path).json }) { reporter.answer(line) }
            return
        }
        guard !entries.isEmpty else { return reporter.report(.notice("there is nothing in it")) }
        let lines = TextTable.lines(entries.map { isLong ? $0.longRow : $0.row })
        for line in lines { reporter.answer(line) }
    }
}

extension ListedEntry {
    /// The cells of its line in a table.
    var row: [String] { [shownName, size.map(ByteFormat.string) ?? ""] }

    /// The cells of its line in a table of `--long`, with everything that is known.
    var longRow: [String] {
        [kind.rawValue, size.map(TransferText.count) ?? "", WallClock.local(UInt64(max(0, modified))), shownName]
    }

    private var shownName: String { DisplayName.path(name.text) + (kind == .folder ? "/" : "") }
}

/// One entry, for programs.
struct ListedLine: Encodable {
    var event = "entry"
    var path: String
    var name: String
    var type: ListedEntry.Kind
    var size: UInt64?
    var modified: String

    init(_ entry: ListedEntry, in path: PullPath) {
        // Of a path that is a file's, the one entry is that file.
        let isItself = path.names.last == entry.name && entry.kind == .file
        self.path = (isItself ? path : PullPath(path.names + [entry.name])).description
        name = entry.name.text
        type = entry.kind
        size = entry.size
        modified = WallClock.timestamp(UInt64(max(0, entry.modified)))
    }

    /// The object.
    var json: String? { JSONLine.text(of: self) }
}
