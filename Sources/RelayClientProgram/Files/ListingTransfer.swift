// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient

/// What one or several sharers have answered to a request to list.
final class ListingCollection: Sendable {
    private let answers = Mutex<[[ListedEntry]]>([])

    /// How many answers are whole.
    var count: Int { answers.withLock(\.count) }

    /// All entries, in the order of their names' bytes; what several have alike stands there once.
    var entries: [ListedEntry] {
        answers.withLock { answers in
            guard answers.count > 1 else { return answers.first ?? [] }
            return Set(answers.joined()).sorted { first, second in
                first.name == second.name ? first.modified > second.modified : first.name < second.name
            }
        }
    }

    fileprivate func add(_ entries: [ListedEntry]) { answers.withLock { $0.append(entries) } }
}

/// A listing that comes: its lines are looked at as they come, and none is stored.
final class ListingTransfer: TransferSink {
    let position = TransferPosition.beginning
    let manifest: ManifestDigest? = nil
    let isAbandonable = false
    /// A sharer that is asked again begins anew.
    let isRepeatable = true

    private struct State {
        var digest: ManifestDigest = []
        var isTaken = false
        var reader = ListingReader()
        var entries: [ListedEntry] = []
        var bytes: UInt64 = 0
    }

    private let collection: ListingCollection
    private let most: Int
    private let state = Mutex(State())

    /// - Parameter most: how many entries are kept until they are shown.
    init(into collection: ListingCollection, most: Int = Defaults.mostListedEntries) {
        self.collection = collection
        self.most = most
    }

    var receivedBytes: UInt64 { state.withLock(\.bytes) }
    var hasContent: Bool { false }

    func acceptance() -> Acceptance {
        state.withLock { state in state = State() }
        return Acceptance()
    }

    func take(_ entry: ManifestEntry) throws(FileError) {
        // That it is one file, of this name, is what was announced, and held against the manifest.
        guard case .file = entry.kind else { throw Self.malformed(behind: 0) }
    }

    func takeManifest(_ digest: ManifestDigest) -> [WantedNote] {
        state.withLock { state in state.digest = digest }
        return []
    }

    func nextFile() -> ExpectedFile? {
        state.withLock { state in
            defer { state.isTaken = true }
            return state.isTaken ? nil : ExpectedFile(size: nil)
        }
    }

    func write(_ data: ByteBuffer) throws(FileError) {
        try state.withLock { state throws(FileError) in
            state.bytes += UInt64(data.readableBytes)
            do throws(SealingError) { state.entries += try state.reader.append(data.readableBytesView) } catch {
                throw Self.malformed(behind: state.reader.count)
            }
            guard state.entries.count <= most else { throw tooLong }
        }
    }

    func skip(_: UInt64) throws(FileError) { throw Self.malformed(behind: state.withLock(\.reader.count)) }

    func endFile() throws(FileError) {
        try state.withLock { state throws(FileError) in
            do throws(SealingError) { try state.reader.finish() } catch {
                throw Self.malformed(behind: state.reader.count)
            }
        }
    }

    func checkpoint(now: NIODeadline, isForced: Bool) {}

    func finish() -> StoredTransfer {
        let (entries, summary) = state.withLock { state in
            (state.entries, DeliveredSummary(manifest: state.digest, entries: 1, bytes: state.bytes))
        }
        collection.add(entries)
        return StoredTransfer(contents: [], summary: summary, files: 1)
    }

    func confirmed() {}
    func keep() {}
    func discard() {}

    /// - Parameter count: the entries that came whole.
    private static func malformed(behind count: Int) -> FileError {
        FileError(
            code: .malformed, "what came is not of the form of a list, from entry \(count + 1) on",
            "check that both clients are of the same version")
    }

    private var tooLong: FileError {
        FileError(
            code: .tooMany, "it has more than \(TransferText.count(UInt64(most))) entries, the most that are shown",
            "list a folder in it, or fetch all of it")
    }
}
