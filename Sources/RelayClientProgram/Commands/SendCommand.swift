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
        abstract: "Send files to somebody, and wait until they have arrived.",
        discussion: """
            Examples:
              relay-client send bob report.pdf
              relay-client send bob,carol --timeout 1h *.jpg
              tar c photos | relay-client send bob -

            Prints "delivered" only when the receiver has verified and stored the file. Receivers who are there come first; \
            each of the others is waited for at the end, once for all of his files.
            """
    )

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Who to send to: NAME[,NAME...].", transform: { try PeerList($0) })
    var receivers: PeerList

    // Empty, so that a mistyped option is told before a missing file.
    @Argument(help: "The files; - is standard input, and what begins with - is written ./-name.")
    var paths: [String] = []

    @Flag(name: .customLong("no-wait"), help: "Fail at once when the receiver is not receiving.")
    var doesNotWait = false

    @Option(
        help: "How long to go on while no bytes flow, such as 30s, 10m or 24h; more than nothing.",
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
            throw ValidationError("--timeout leaves no time to send anything; write such as 30s, 10m or 24h")
        }
        let standardInputs = paths.count { $0 == "-" }
        guard standardInputs == 0 || (standardInputs == 1 && receivers.names.count == 1) else {
            throw ValidationError("standard input can be read only once, so it goes to one receiver only")
        }
    }

    func run() async throws {
        try await Client.run(global) { client in
            // Every file is looked at before the receiver is asked.
            let jobs = try jobs()
            let (environment, queue) = (try client.connector().environment, EventQueue<SessionEvent>())
            let sender = Sender(
                jobs, waits: !doesNotWait, patience: timeout.amount, environment: environment, queue: queue
            )
            var session = ControlSession(environment, queue: queue, parts: [sender])
            let status = try await session.run()
            if status != .done { throw ExitCode(status.rawValue) }
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
