// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// How transfers are received.
struct ReceivedOptions: Hashable, Sendable {
    /// Whether permissions and links are kept, where the sender sends them.
    var keepsMetadata = false
    /// What becomes of what is at the final place already.
    var existing = ExistingRule.keep
}

/// A transfer that was begun and that its sender does not know to be stored.
struct UnfinishedTransfer: Hashable, Sendable {
    let transfer: CarriedTransfer
    let sender: Party
    let receiver: Party
    let summary: OfferSummary
    /// The bytes that are here, as far as one look tells: those that were durable when the journal was written last,
    /// and of a single file also those that have come since.
    let bytesHere: UInt64
    /// When it was accepted first, and when something of it came last: milliseconds since 1970.
    let since: UInt64
    let changed: UInt64
    /// Whether everything is stored.
    let isFinished: Bool
    /// The folder that its parts are in.
    let path: String
}

/// The parts of transfers in the folder that is received into: begins them, finds them again, and removes them.
final class ReceivedParts: Sendable {
    private let directory: ReceiveDirectory
    let options: ReceivedOptions
    private let environment: IncomingTree.Environment
    private let probed: ProbedFileSystems

    /// Others than the system's calls, its boot, and what its file systems say of names are for tests only.
    init(
        directory: ReceiveDirectory, options: ReceivedOptions, calls: FileCalls = .system, boot: SystemBoot = .current,
        takesAllNames: @escaping @Sendable (OpenFile) -> Bool = NameProbe.takesAllNames
    ) {
        self.directory = directory
        self.options = options
        let probed = ProbedFileSystems(ask: takesAllNames)
        self.probed = probed
        environment = IncomingTree.Environment(remarks: directory.remarks, calls: calls, boot: boot) { part in
            probed.takesAllNames(part)
        }
    }

    /// Where it is.
    var path: String { directory.path }

    /// The bytes that can still be written there; nil where its file system does not say.
    var freeSpace: UInt64? { (try? directory.folder())?.freeSpace() }

    /// Whether this transfer of this sender was accepted before, as `summary` tells of it, and has not been confirmed
    /// or forgotten.
    func hasAccepted(_ summary: OfferSummary, of transfer: CarriedTransfer, from sender: SigningKey) -> Bool {
        guard let folder = try? directory.folder() else { return false }
        for number in 0..<Defaults.partFolderTries {
            guard let journal = PartFolder.journal(of: PartFolder.name(of: transfer, number: number), in: folder) else {
                return false
            }
            let replay = try? JournalFile.replay(journal, limit: Defaults.journalBeginning)
            guard let beginning = replay?.state?.beginning else { continue }
            if beginning.transfer == transfer, beginning.sender.identity == sender, beginning.isOf(summary) {
                return true
            }
        }
        return false
    }

    /// The digest of the manifest of a transfer that broke, of which something is here; nil also where another process
    /// receives it: that one's would be cut if it were asked for again.
    func manifest(of transfer: CarriedTransfer, from sender: SigningKey) -> ManifestDigest? {
        guard let folder = try? directory.folder() else { return nil }
        for number in 0..<Defaults.partFolderTries {
            let name = PartFolder.name(of: transfer, number: number)
            guard let journal = PartFolder.journal(of: name, in: folder) else { return nil }
            guard let state = (try? JournalFile.replay(journal))?.state, state.beginning.transfer == transfer,
                state.beginning.sender.identity == sender
            else { continue }
            return PartFolder.isInUse(name, in: folder) ? nil : state.manifest?.digest
        }
        return nil
    }

    /// Whether what is announced could be received now. Only where a file system may refuse a name, something is made
    /// to know it.
    func checkRoom(_ summary: OfferSummary) throws(FileError) {
        let folder = try directory.folder()
        try checkRoom(summary, here: 0, in: folder)
        guard !probed.isKnownToTakeAllNames(folder),
            let part = try? PartFolder.open(PartFolder.name(of: .random()), in: folder)
        else { return }
        defer { part.remove() }
        if !probed.takesAllNames(part) { try checkNames(summary, in: part) }
    }

    /// Which of the announced names mean something there that is replaced, or that is gone into.
    func replaces(_ summary: OfferSummary) -> [String] {
        guard options.existing == .replace, let folder = try? directory.folder() else { return [] }
        let formats: [mode_t] =
            switch summary.kind {
            case .file, .stream: [S_IFREG]
            case .folder: [S_IFDIR]
            case .several: [S_IFREG, S_IFDIR]
            }
        return summary.names.filter { name in
            formats.contains { format in
                let safe = SafeFileName(
                    offered: name, maximumLength: folder.maximumNameLength, isFolder: format == S_IFDIR)
                let found = OpenFile.status(of: safe.text, in: folder.handle)
                return found.map { status in status.st_mode & S_IFMT == format } ?? false
            }
        }
    }

    /// Goes on with a transfer, or begins it; to be called before it is accepted.
    func open(_ offer: OfferedTransfer) throws(FileError) -> ReceivedTree {
        let folder = try directory.folder()
        do throws(FileError) {
            return try open(offer, in: folder)
        } catch  where !folder.isAt(directory.path) {
            // Between the look at the path and the making of files, the folder went.
            return try open(offer, in: directory.folder())
        }
    }

    /// What was begun in this folder, the oldest first.
    func unfinished() -> [UnfinishedTransfer] {
        guard let folder = try? directory.folder() else { return [] }
        return PartFolder.names(in: folder).compactMap { name in Self.unfinished(name, in: folder, on: environment.boot)
        }
        .sorted { first, second in first.since < second.since }
    }

    /// Removes the parts of a transfer; false when there are none, or another process receives it.
    func forget(_ transfer: CarriedTransfer) -> Bool {
        guard let folder = try? directory.folder() else { return false }
        var hasRemoved = false
        for name in PartFolder.names(in: folder) where Self.unfinished(name, in: folder)?.transfer == transfer {
            if PartFolder.remove(name, in: folder) { hasRemoved = true }
        }
        return hasRemoved
    }

    /// Removes what is left of a transfer of this sender that is stored, and that the sender knows to be.
    func confirmed(_ transfer: CarriedTransfer, from sender: SigningKey) {
        guard let folder = try? directory.folder() else { return }
        for name in PartFolder.names(in: folder) {
            guard let stored = Self.unfinished(name, in: folder), stored.isFinished, stored.transfer == transfer,
                stored.sender.identity == sender
            else { continue }
            PartFolder.remove(name, in: folder)
        }
    }

    /// Removes the parts of which nothing came since then: milliseconds since 1970. Returns what that was, but for what
    /// is damaged beyond telling.
    func removeOld(before time: UInt64) -> [UnfinishedTransfer] {
        guard let folder = try? directory.folder() else { return [] }
        return PartFolder.names(in: folder).compactMap { name in
            guard let change = PartFolder.change(of: name, in: folder), change.milliseconds < time else { return nil }
            let old = Self.unfinished(name, in: folder)
            return PartFolder.remove(name, in: folder) ? old : nil
        }
    }

    /// - Parameter boot: the one in which what was written counts without the journal; nil asks that alone.
    private static func unfinished(
        _ name: String, in folder: ReceiveFolder, on boot: SystemBoot? = nil
    ) -> UnfinishedTransfer? {
        guard let journal = PartFolder.journal(of: name, in: folder),
            let change = PartFolder.change(of: name, in: folder),
            let state = try? JournalFile.replay(journal).state
        else { return nil }
        let beginning = state.beginning
        return UnfinishedTransfer(
            transfer: beginning.transfer, sender: beginning.sender, receiver: beginning.receiver,
            summary: beginning.summary,
            bytesHere: bytes(of: state, name, in: folder, on: boot),
            since: beginning.since, changed: change.milliseconds, isFinished: state.isFinished,
            path: folder.path(of: name)
        )
    }

    private static func bytes(
        of state: JournalState, _ name: String, in folder: ReceiveFolder, on boot: SystemBoot?
    ) -> UInt64 {
        guard state.totals == nil else { return state.beginning.summary.bytes ?? state.bytes }
        guard state.manifest?.entries == 1, boot?.isSame(as: state.boot) ?? false,
            let length = PartFolder.lengthOfOnlyFile(of: name, in: folder)
        else { return state.bytes }
        return max(state.bytes, min(length, state.beginning.summary.bytes ?? length))
    }

    // MARK: - Opening

    private func open(_ offer: OfferedTransfer, in folder: ReceiveFolder) throws(FileError) -> ReceivedTree {
        for number in 0..<Defaults.partFolderTries {
            let name = PartFolder.name(of: offer.transfer, number: number)
            let part: PartFolder?
            let replay: JournalReplay?
            do throws(SystemError) {
                part = try PartFolder.open(name, in: folder)
                replay = try part.map { part throws(SystemError) in try JournalFile.replay(part.journal) }
            } catch {
                throw .unusable(folder: folder.path, error)
            }
            guard let part, let replay, replay.state?.beginning.isBetween(offer) ?? true else { continue }
            if let tree = try goOn(offer, replay, in: part) { return tree }
            return try begin(offer, in: part)
        }
        throw .unusable(folder: folder.path, SystemError(code: EBUSY))
    }

    /// Nil when there is nothing to go on with.
    private func goOn(
        _ offer: OfferedTransfer, _ replay: JournalReplay, in part: PartFolder
    ) throws(FileError) -> ReceivedTree? {
        guard let state = replay.state, state.beginning.isOf(offer) else { return nil }
        let incoming: IncomingTree?
        do throws(TreeFault) {
            incoming = try IncomingTree(replay, asked: offer.asked, in: part, environment)
        } catch {
            throw FileError(error, of: offer.summary.shownName, in: part)
        }
        guard let incoming else { return nil }
        if !incoming.isWhole { try checkRoom(offer.summary, here: incoming.bytes, in: part.folder) }
        return ReceivedTree(incoming)
    }

    private func begin(_ offer: OfferedTransfer, in part: PartFolder) throws(FileError) -> ReceivedTree {
        do throws(FileError) {
            try checkRoom(offer.summary, here: 0, in: part.folder)
            let beginning = JournalBeginning(offer, since: FileTime.now.milliseconds, options)
            let incoming: IncomingTree
            do throws(SystemError) {
                incoming = try IncomingTree(beginning, asked: offer.asked, in: part, environment)
            } catch {
                throw FileError.unusable(folder: part.folder.path, error)
            }
            try checkNames(offer.summary, in: part)
            return ReceivedTree(incoming)
        } catch {
            part.remove()
            throw error
        }
    }

    /// Where files may be there already, what is missing is known only when the manifest is. All holes count as still
    /// to come, so that no transfer that goes on is refused for those that are here.
    private func checkRoom(
        _ summary: OfferSummary, here: UInt64, in folder: ReceiveFolder
    ) throws(FileError) {
        guard options.existing != .skip, let bytes = summary.room, bytes > here, let free = folder.freeSpace(),
            free < bytes - here
        else { return }
        throw .noRoom(for: summary.shownName, in: folder.path, needed: bytes - here, free: free)
    }

    /// The names that are announced are tried at once: what is refused now costs neither side anything.
    private func checkNames(_ summary: OfferSummary, in part: PartFolder) throws(FileError) {
        var made: [String] = []
        defer { for name in made { unsafe unlinkat(part.content.descriptor, name, 0) } }
        // One that is there twice is refused with the manifest, by whatever file system.
        for name in Set(summary.names).sorted() {
            do throws(SystemError) {
                let name = part.fitting(name)
                _ = try PartFolder.openFile(name, in: part.content, O_CREAT | O_EXCL)
                made.append(name)
                if NameRefusal.refusedEnding(name, takes: part.folder.takes) != nil { throw SystemError(code: EINVAL) }
            } catch {
                throw FileError(.making(error, name), of: name, in: part)
            }
        }
    }
}

/// Which file systems take every name as it is, each asked once.
private final class ProbedFileSystems: Sendable {
    private let ask: @Sendable (OpenFile) -> Bool
    private let answers = Mutex<[OpenFile.Identity: Bool]>([:])

    init(ask: @escaping @Sendable (OpenFile) -> Bool) { self.ask = ask }

    func takesAllNames(_ part: PartFolder) -> Bool {
        // The folder, because a single one can be told to take names in any case.
        guard let folder = try? part.folder.handle.identity() else { return false }
        if let known = answers.withLock({ answers in answers[folder] }) { return known }
        let answer = ask(part.handle)
        answers.withLock { answers in answers[folder] = answer }
        return answer
    }

    /// Whether it was asked before, and takes all.
    func isKnownToTakeAllNames(_ folder: ReceiveFolder) -> Bool {
        guard let folder = try? folder.handle.identity() else { return false }
        return answers.withLock { answers in answers[folder] } ?? false
    }
}

extension JournalBeginning {
    fileprivate init(_ offer: OfferedTransfer, since: UInt64, _ options: ReceivedOptions) {
        self.init(
            transfer: offer.transfer, sender: offer.sender, receiver: offer.receiver, summary: offer.summary,
            since: since, keepsMetadata: options.keepsMetadata, existing: options.existing
        )
    }

    /// Whether it is a transfer of the same two people.
    fileprivate func isBetween(_ offer: OfferedTransfer) -> Bool {
        transfer == offer.transfer && sender.identity == offer.sender.identity
            && receiver.identity == offer.receiver.identity
    }

    /// Whether it is what is offered.
    fileprivate func isOf(_ offer: OfferedTransfer) -> Bool {
        isBetween(offer) && isOf(offer.summary)
    }

    /// Whether a person who is asked about `offered` sees what was accepted.
    fileprivate func isOf(_ offered: OfferSummary) -> Bool {
        summary.names == offered.names && summary.entries == offered.entries && summary.bytes == offered.bytes
            && summary.kind == offered.kind
    }
}
