// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import NIOCore
import TransferClient
import WSProtocol

/// `relay-client send`.
struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send files, and wait until they are delivered.",
        discussion: """
            Sends each file to each receiver, and prints "delivered" once the receiver has verified and stored it. \
            Online receivers are served first; send then waits for the offline ones, once per receiver. A transfer that \
            is cut starts again from the beginning of the file, for as long as --timeout allows.

            Examples:
              relay-client send bob report.pdf
              relay-client send bob,carol *.jpg
              relay-client send bob disk.iso --timeout 2h
              relay-client send bob report.pdf --no-wait
              tar c photos | relay-client send bob -
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The receivers: NAME[,NAME...].", transform: { try PeerList($0) })
    var receivers: PeerList

    // Empty, so that a mistyped option is told before a missing file.
    @Argument(help: "Files to send; - is standard input. Write ./-name for a file called -name.")
    var paths: [String] = []

    @Flag(name: .customLong("no-wait"), help: "Fail at once if a receiver is not receiving.")
    var doesNotWait = false

    @Option(
        help: "Give up when no bytes have flowed for this long, such as 30s, 10m (the default) or 24h.",
        transform: { try TimeSpan($0) })
    var timeout = TimeSpan.patience

    func validate() throws {
        guard !paths.isEmpty else {
            throw ValidationError("name at least one file; one whose name begins with - is written ./-name")
        }
        for path in paths where path != "-" {
            if let mistake = UnexpandedHome.mistake(path, of: "send") { throw ValidationError(mistake) }
        }
        guard timeout.amount > .zero else {
            throw ValidationError("--timeout must be longer than zero, such as 30s, 10m or 24h")
        }
        let standardInputs = paths.count { $0 == "-" }
        guard standardInputs < 2 else {
            throw ValidationError("\"-\" is given more than once: standard input can be read only once")
        }
        guard standardInputs == 0 || receivers.names.count == 1 else {
            throw ValidationError("standard input can be read only once: it goes to one receiver")
        }
    }

    func run() async throws {
        try await Client.run(global) { client in
            // Every file is looked at before the receiver is asked.
            let jobs = try jobs()
            try await client.run { environment, queue in
                Sender(jobs, waits: !doesNotWait, patience: timeout.amount, environment: environment, queue: queue)
            }
        }
    }

    private func jobs() throws -> [SendJob] {
        try paths.flatMap { path in
            try receivers.names.map { peer in
                let source: any ContentSource =
                    path == "-"
                    ? StandardInputSource(name: Defaults.standardInputName) : try FileSource.open(path)
                return SendJob(peer: peer, source: source)
            }
        }
    }
}

/// `NAME[,NAME...]`: who a file goes to. No name comes twice.
struct PeerList: Hashable, Sendable {
    let names: [PeerName]

    /// - Throws: `ValidationError` when there is no name, or one that no relay could have.
    init(_ text: String) throws { names = try PeerName.list(text) }
}

extension TimeSpan {
    /// How long `send` waits unless it is told otherwise.
    static let patience = TimeSpan(milliseconds: TransferDefaults.patience.nanoseconds / 1_000_000)

    /// The same for NIO.
    var amount: TimeAmount { .milliseconds(milliseconds) }
}
