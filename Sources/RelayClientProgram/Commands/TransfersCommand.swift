// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Sealing
import TransferClient
import WSProtocol

/// `relay-client transfers`
struct TransfersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfers",
        abstract: "Show transfers that were begun and are not complete, resume them, or give them up.",
        discussion: """
            Both sides remember an incomplete transfer, and keep its content, for a week after the last attempt. The \
            same send resumes it, with a receive that runs in the same folder; so does resume, on either side. An ID may \
            be shortened to a beginning that only one transfer has, and a - in front may be left out.
            """,
        subcommands: [List.self, Forget.self, Resume.self], defaultSubcommand: List.self
    )

    /// The parts of received transfers.
    fileprivate static let parts: any UnfinishedParts = DiskParts()

    /// `relay-client transfers list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print each transfer: direction, peer, content, and when it was begun.")

        @OptionGroup var global: GlobalOptions

        func run() async throws { try await Client.run(global) { try list($0, TransfersCommand.parts) } }

        func list(_ client: Client, _ parts: any UnfinishedParts) throws {
            _ = try client.profile()
            let records = try TransferRecords(client.directory).all(now: WallClock.milliseconds())
            // Where a folder cannot be looked into, what is known of the transfer is shown all the same.
            let shown = records.map { record in TransferListing(record: record, bytes: bytes(of: record, parts)) }
            if global.json {
                for line in shown.compactMap(\.json) { client.reporter.answer(line) }
                return
            }
            guard !shown.isEmpty else { return client.reporter.report(.notice("no transfer is unfinished")) }
            for line in TextTable.lines(shown.map(\.row)) { client.reporter.answer(line) }
        }

        private func bytes(of record: TransferRecord, _ parts: any UnfinishedParts) -> UInt64? {
            guard case .receiving(let received) = record else { return nil }
            return (try? parts.bytes(of: received)) ?? nil
        }
    }

    /// `relay-client transfers forget`
    struct Forget: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forget",
            abstract: "Give up a transfer, and remove its incomplete files.",
            discussion:
                "Files that are complete stay. The other side is not told; there, the transfer begins again or ends."
        )

        @OptionGroup var global: GlobalOptions

        @Argument(
            help: "The transfer: its ID as list prints it, or a beginning of it.", completion: PeerCompletion.transfer)
        var id: String

        func run() async throws { try await Client.run(global) { try forget($0, TransfersCommand.parts) } }

        func forget(_ client: Client, _ parts: any UnfinishedParts) throws {
            _ = try client.profile()
            let records = TransferRecords(client.directory)
            // A profile that sends to itself has both sides of it.
            for record in try TransfersCommand.find(id, records) {
                switch record {
                case .sending: try records.forget(record.transfer, .send)
                case .receiving(let received):
                    try parts.remove(received)
                    try records.forget(record.transfer, .receive)
                }
                let way = TransferListing(record: record).way
                client.reporter.report(.notice("gave up \(TransferText.quoted(record.summary)) \(way)"))
            }
        }
    }

    /// `relay-client transfers resume`
    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume",
            abstract: "Resume a transfer.",
            discussion: """
                A transfer that this profile sends resumes as with the send that began it. One that it receives resumes \
                in the folder in which it was begun, once its sender is back; the command accepts no other transfer, and \
                ends with this one.
                """
        )

        @OptionGroup var global: GlobalOptions

        @Argument(
            help: "The transfer: its ID as list prints it, or a beginning of it.", completion: PeerCompletion.transfer)
        var id: String

        func run() async throws {
            try await Client.run(global) { client in
                _ = try client.profile()
                guard let record = try TransfersCommand.find(id, TransferRecords(client.directory)).first else {
                    return
                }
                switch record {
                case .sending(let sent): try await SendCommand.send(SendSettings(goingOnWith: sent), client)
                case .receiving(let received):
                    if let fetch = FetchRequest(goingOnWith: received) {
                        return try await FetchCommand.fetch(fetch, client)
                    }
                    try await ReceiveCommand.receive(ReceiveRequest(goingOnWith: received), client)
                }
            }
        }
    }

    /// The records of the one transfer whose id begins with `id`: of both sides, where both are in this profile.
    fileprivate static func find(_ id: String, _ records: TransferRecords) throws -> [TransferRecord] {
        let all = try records.all(now: WallClock.milliseconds())
        let found = all.filter { TransferListing.matches(id, $0.transfer) }
        let count = Set(found.map(\.transfer)).count
        guard count == 1 else {
            let shown = DisplayName.escape(id)
            throw ClientError.command(
                count == 0
                    ? "no unfinished transfer has the ID \"\(shown)\"; relay-client transfers lists them"
                    : "\(count) transfers have an ID that begins with \"\(shown)\"; write more of it",
                .usage
            )
        }
        return found
    }
}

extension SendSettings {
    /// What goes on with a transfer that an earlier `send` has begun.
    init(goingOnWith record: SentRecord) {
        self.init(
            receivers: [record.receiver.name], paths: record.paths, exclude: record.exclude,
            keepsMetadata: record.keepsMetadata
        )
    }
}

extension ReceiveRequest {
    /// What goes on with a transfer that an earlier `receive` has begun, and then ends.
    init(goingOnWith record: ReceivedRecord) {
        self.init(
            output: record.folder, policy: ReceivePolicy(from: [record.sender.name], isTrusting: true), isOnce: true,
            keepsMetadata: record.keepsMetadata, only: record.transfer
        )
    }
}

/// One unfinished transfer, as it is listed.
struct TransferListing: Hashable, Sendable {
    let record: TransferRecord
    /// How much of it is here, where it is received and that is known.
    var bytes: UInt64?

    /// The shortest form of an id is as long as this.
    private static let shortest = 4

    /// Whether a person who wrote `text` can mean that transfer.
    static func matches(_ text: String, _ transfer: CarriedTransfer) -> Bool {
        let text = TransferText.undashed(Pasted.trimmed(text))
        return text.utf8.count >= shortest && TransferText.undashed(transfer.rawValue).hasPrefix(text)
    }

    /// `to bob`, or `from alice`.
    var way: String {
        switch record {
        case .sending: "to \(record.peer.name)"
        case .receiving: "from \(record.peer.name)"
        }
    }

    /// The cells of its line in a table.
    var row: [String] {
        [
            TransferText.shortID(record.transfer.rawValue), way,
            TransferText.quoted(record.summary) + TransferText.details(record.summary, record.summary.bytes),
            bytes.map { "\(ByteFormat.string($0)) here" } ?? "", "since \(WallClock.local(record.since))", place,
        ]
    }

    private var place: String {
        switch record {
        case .sending(let sent):
            let others = sent.paths.count - 1
            let first = sent.paths.first.map { "\"\(DisplayName.path($0))\"" } ?? ""
            return others == 0 ? first : "\(first) and \(others) other\(others == 1 ? "" : "s")"
        case .receiving(let received): return "\"\(DisplayName.path(received.folder))\""
        }
    }

    private struct Line: Encodable {
        var event = "transfer"
        var transfer: CarriedTransfer
        var direction: String
        var peer: PeerName
        var names: [String]
        var kind: OfferSummary.Kind
        var entries: UInt64?
        var size: UInt64?
        var bytes: UInt64?
        var since: String
        var paths: [String]?
        var folder: String?
    }

    /// The object for programs.
    var json: String? {
        var line = Line(
            transfer: record.transfer, direction: "", peer: record.peer.name, names: record.summary.names,
            kind: record.summary.kind, entries: record.summary.entries, size: record.summary.bytes, bytes: bytes,
            since: WallClock.timestamp(record.since)
        )
        switch record {
        case .sending(let sent): (line.direction, line.paths) = (TransferLabel.Direction.send.rawValue, sent.paths)
        case .receiving(let received):
            (line.direction, line.folder) = (TransferLabel.Direction.receive.rawValue, received.folder)
        }
        return JSONLine.text(of: line)
    }
}
