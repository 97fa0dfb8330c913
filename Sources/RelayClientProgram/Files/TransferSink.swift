// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient

/// A transfer as its offer announced it.
struct OfferedTransfer: Hashable, Sendable {
    let transfer: CarriedTransfer
    let sender: Party
    let receiver: Party
    let summary: OfferSummary
    /// All names at its top, where it was asked for.
    var asked: [EntryName]?
}

extension OfferedTransfer {
    /// What was opened of an offer.
    init(of offer: ReceivedOffer) {
        self.init(
            transfer: offer.transfer, sender: offer.parties.sender, receiver: offer.parties.receiver,
            summary: offer.summary, asked: offer.asked
        )
    }
}

/// Where a transfer goes. Its calls block, and come one at a time; ``receivedBytes``, ``hasContent`` and
/// ``isRepeatable`` never wait. What throws leaves everything that has come where it is: ``keep()`` or ``discard()``
/// are still to be called.
///
/// An attempt calls ``acceptance()``, then ``take(_:)`` for each entry unless it goes on, ``takeManifest(_:)``, and for
/// each file that ``nextFile()`` names ``write(_:)`` and ``skip(_:)`` until ``endFile()``; now and then
/// ``checkpoint(now:isForced:)``; at the end ``finish()``. It may break anywhere in that row. The next one begins with
/// ``acceptance()`` of the same sink, or of one that is opened after ``keep()``.
protocol TransferSink: AnyObject, Sendable {
    /// From where to go on.
    var position: TransferPosition { get }
    /// The digest of the manifest, where the receiver has it and goes on.
    var manifest: ManifestDigest? { get }
    /// What to say to the sender: the position, whether notes will say what is wanted, samples of what is here.
    func acceptance() throws(FileError) -> Acceptance
    /// Takes the next entry of the manifest.
    func take(_ entry: ManifestEntry) throws(FileError)
    /// The manifest is whole, or is the one that was here: whatever its names are refused for is found out now, before
    /// content flows. Returns the notes that say what is wanted, if they have to.
    func takeManifest(_ digest: ManifestDigest) throws(FileError) -> [WantedNote]
    /// The file whose content is due; nil when no other is.
    func nextFile() throws(FileError) -> ExpectedFile?
    /// Takes content of that file.
    func write(_ data: ByteBuffer) throws(FileError)
    /// Takes zero bytes of it.
    func skip(_ hole: UInt64) throws(FileError)
    /// The file whose content came last is whole.
    func endFile() throws(FileError)
    /// Makes durable what has come, when that is due.
    func checkpoint(now: NIODeadline, isForced: Bool) throws(FileError)
    /// Makes everything durable and gives it its final names, to be called once all of the stream is verified. What is
    /// verified is never thrown away: what cannot get its name is kept, and the error says where.
    func finish() throws(FileError) -> StoredTransfer
    /// The sender knows that it is stored.
    func confirmed()
    /// Ends, and leaves what is here for a later attempt.
    func keep()
    /// Ends, and removes everything that has not got its final name.
    func discard()
    /// Bytes of content that are here, or not wanted.
    var receivedBytes: UInt64 { get }
    /// Whether what has come can come again: false once bytes went where they cannot be taken back.
    var isRepeatable: Bool { get }
    /// Whether any content is here.
    var hasContent: Bool { get }
    /// Whether a call may block for ever, and is to be run so that the session can give it up.
    var isAbandonable: Bool { get }
}

/// An entry of the top that has another name here than it was sent under.
struct RenamedEntry: Hashable, Sendable {
    let offered: String
    let path: String
}

/// What is stored of a transfer, and where.
struct StoredTransfer: Sendable {
    /// The top-level entries, at most ``Defaults/mostStoredContents``.
    let contents: [StoredContent]
    /// What to tell the sender.
    let summary: DeliveredSummary
    /// How many files were stored.
    let files: UInt64
    /// The checksum of each file that came, where they were asked for.
    var checksums: [FileChecksum] = []
    /// How many files or links that were there have been replaced.
    var replaced: UInt64 = 0
    /// Whether anything was stored: where files may be there already, all of them may be.
    var isNew = true
    /// The folder that it is in, where it is in one.
    var folder = "-"
    /// Entries of the top, of several, that have another name here than they were sent under.
    var renamed: [RenamedEntry] = []

    /// The bytes of all files.
    var bytes: UInt64 { summary.bytes }
    /// Where it is: of several, the folder that they are in.
    var path: String {
        guard contents.count > 1, let first = contents.first, let slash = first.path.lastIndex(of: "/") else {
            return contents.first?.path ?? folder
        }
        return slash == first.path.startIndex ? "/" : String(first.path[..<slash])
    }
}
