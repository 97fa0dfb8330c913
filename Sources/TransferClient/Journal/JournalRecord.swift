// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// One record of the journal that a receiver keeps beside the parts of a transfer. Nothing in it is secret.
package enum JournalRecord: Hashable, Sendable {
    /// The first one, and only the first.
    case begin(JournalBeginning)
    /// A process opens the parts, on a system that was booted with this identifier; nothing where it does not say.
    case run(boot: [UInt8])
    /// The manifest is here as a whole.
    case manifest(JournalManifest)
    /// Which files are wanted, in the order of the manifest; only where those that are there are skipped.
    case wanted([WantedRun], isLast: Bool)
    /// Everything before this position is durable; with what is not wanted, it has so many bytes.
    case position(TransferPosition, bytes: UInt64)
    /// A file of unknown size is whole, and so long.
    case fileEnd(file: UInt64, size: UInt64)
    /// Everything is here and durable: entries get their final names from now on.
    case placing(JournalTotals)
    /// An entry of the top gets this name next.
    case place(JournalPlace)
    /// Everything has its final name.
    case finished
}

/// What is known of a transfer when it is accepted.
package struct JournalBeginning: Hashable, Sendable {
    package let transfer: CarriedTransfer
    package let sender: Party
    package let receiver: Party
    package let summary: OfferSummary
    /// When it was accepted first: milliseconds since 1970.
    package let since: UInt64
    /// Whether permissions and links are kept.
    package let keepsMetadata: Bool
    /// What becomes of what is at the final place already.
    package let existing: ExistingRule

    package init(
        transfer: CarriedTransfer, sender: Party, receiver: Party, summary: OfferSummary, since: UInt64,
        keepsMetadata: Bool, existing: ExistingRule
    ) {
        self.transfer = transfer
        self.sender = sender
        self.receiver = receiver
        self.summary = summary
        self.since = since
        self.keepsMetadata = keepsMetadata
        self.existing = existing
    }
}

/// The manifest that is stored beside the journal.
package struct JournalManifest: Hashable, Sendable {
    package let digest: ManifestDigest
    /// The bytes of its records.
    package let length: UInt64
    package let entries: UInt64
    package let files: UInt64
    /// Whether every name was made in advance, because the file system is not one that takes them all.
    package let isMadeInAdvance: Bool

    package init(digest: ManifestDigest, length: UInt64, entries: UInt64, files: UInt64, isMadeInAdvance: Bool) {
        self.digest = digest
        self.length = length
        self.entries = entries
        self.files = files
        self.isMadeInAdvance = isMadeInAdvance
    }
}

/// The final name of an entry of the top.
package struct JournalPlace: Hashable, Sendable {
    /// Its number among all entries.
    package let entry: UInt32
    package let name: String
    /// Which file it is, by the numbers of its file system.
    package let device: UInt64
    package let inode: UInt64
    /// What kind of file it is, as its mode says.
    package let format: UInt32

    package init(entry: UInt32, name: String, device: UInt64, inode: UInt64, format: UInt32) {
        self.entry = entry
        self.name = name
        self.device = device
        self.inode = inode
        self.format = format
    }
}

/// What is here, or stored.
package struct JournalTotals: Hashable, Sendable {
    /// Folders, files that were wanted, and links.
    package let entries: UInt64
    package let files: UInt64
    /// The bytes of these files.
    package let bytes: UInt64

    package init(entries: UInt64, files: UInt64, bytes: UInt64) {
        self.entries = entries
        self.files = files
        self.bytes = bytes
    }
}

/// What becomes of what is at the final place of something that is received.
package enum ExistingRule: UInt8, CaseIterable, Sendable {
    /// It stays, and what comes gets another name.
    case keep = 0
    /// It stays; what is there with the same size and time is not received again, and folders become one.
    case skip = 1
    /// It is replaced by what comes, and folders become one.
    case replace = 2

    /// Whether what is in a folder goes into the one of the same name that is there.
    package var mergesFolders: Bool { self != .keep }
}
