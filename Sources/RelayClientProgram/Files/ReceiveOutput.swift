// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// Where received content goes.
enum ReceiveOutput: Sendable {
    case folder(ReceivedParts)
    /// Standard output, one content at a time.
    case standardOutput
    /// The memory of a person's question, and nothing of it anywhere else.
    case listing(ListingCollection)

    /// Whether the person has said yes to the same transfer as what it is offered as, and some of it may be here.
    func hasAccepted(_ offer: ReceivedOffer) -> Bool {
        switch self {
        case .folder(let parts):
            parts.hasAccepted(offer.summary, of: offer.transfer, from: offer.parties.sender.identity)
        case .standardOutput, .listing: false
        }
    }

    /// The sender of a transfer that was stored before knows it now. Blocks.
    func confirmed(_ transfer: CarriedTransfer, from sender: Party) {
        switch self {
        case .folder(let parts): parts.confirmed(transfer, from: sender.identity)
        case .standardOutput, .listing: break
        }
    }

    /// A place for what is offered, with what is there of it already. Blocks.
    ///
    /// - Parameter takesChecksums: whether those of the files are wanted.
    func open(_ offer: OfferedTransfer, takesChecksums: Bool = false) throws(FileError) -> any TransferSink {
        switch self {
        case .folder(let parts):
            let tree = try parts.open(offer)
            if takesChecksums { tree.takeChecksums() }
            return tree
        case .standardOutput:
            try StandardOutputTransfer.check(offer.summary)
            return StandardOutputTransfer(takesChecksums: takesChecksums)
        case .listing(let collection): return ListingTransfer(into: collection)
        }
    }

    /// What a later run of this program has to know to go on; nil where it cannot.
    ///
    /// - Parameter fetched: the paths that were asked for; nil for what came unasked.
    func record(of offer: OfferedTransfer, fetched: [String]? = nil, since now: UInt64) -> TransferRecord? {
        switch self {
        case .folder(let parts):
            .receiving(
                ReceivedRecord(
                    transfer: offer.transfer, sender: offer.sender, folder: parts.path, summary: offer.summary,
                    keepsMetadata: parts.options.keepsMetadata, fetched: fetched, since: now
                ))
        case .standardOutput, .listing: nil
        }
    }

    /// Removes what no sender came back for in a week. Returns messages about it.
    func removeOld(now: UInt64) -> [String] {
        guard case .folder(let parts) = self, now > Defaults.recordLifetime else { return [] }
        return parts.removeOld(before: now - Defaults.recordLifetime).map {
            "removed what came of \(TransferText.quoted($0.summary)) from \($0.sender.name): "
                + "nothing more came in a week"
        }
    }

    /// Whether a content fits now, as far as that can be told.
    func checkRoom(_ summary: OfferSummary) throws(FileError) {
        switch self {
        case .folder(let parts): try parts.checkRoom(summary)
        case .standardOutput: try StandardOutputTransfer.check(summary)
        case .listing: break
        }
    }

    /// What a person is told of it before something goes there.
    var destination: OfferQuestion.Destination? {
        switch self {
        case .folder(let parts): parts.freeSpace.map { OfferQuestion.Destination(path: parts.path, free: $0) }
        case .standardOutput, .listing: nil
        }
    }

    /// Which of the names that are offered mean something there that is replaced, or that goes into it. Blocks.
    func replaces(_ summary: OfferSummary) -> [String] {
        switch self {
        case .folder(let parts): parts.replaces(summary)
        case .standardOutput, .listing: []
        }
    }

    /// How many may be written at once, of which `large` are not small.
    var parallelDownloads: (large: Int, all: Int) {
        switch self {
        case .folder, .listing: (Defaults.parallelDownloads, Defaults.parallelSmallDownloads)
        case .standardOutput: (1, 1)
        }
    }
}

/// What the person asked for.
struct ReceiveSettings: Sendable {
    var policy: ReceivePolicy
    var output: ReceiveOutput
    /// Whether to end after the first content.
    var isOnce = false
    /// What is run for each file and folder; nil leaves that to the policies.
    var command: FileCommand?
    /// The policies that stand in the profile; nil where none do.
    var policies: PolicyStore?
    /// The folders that policies name; nil where the person has named one for all.
    var folders: SenderFolders?
    /// Whether the SHA-256 of each file is printed.
    var printsChecksums = false
    /// The only transfer that is taken; nil takes all.
    var only: CarriedTransfer?
    /// The paths that were asked for, where nothing else is taken.
    var fetched: [String]?
    /// Whether the same session shares as well.
    var alsoShares = false
    /// Reports offers that are refused, where nothing else is reported.
    var refusalReporter: Reporter?

    /// How many contents may come at once, of which `large` are not small.
    var parallelDownloads: (large: Int, all: Int) { isOnce ? (1, 1) : output.parallelDownloads }
}
