// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
import TransferClient

/// What becomes of a transfer in its part folder: first the manifest comes, then the content, and then everything gets
/// its final name. The journal never says more than the disk has.
struct IncomingTree {
    /// What it needs of its surroundings.
    struct Environment: Sendable {
        let remarks: Remarks
        let calls: FileCalls
        let boot: SystemBoot
        /// Whether the file system takes every name as it is.
        let takesAllNames: @Sendable (PartFolder) -> Bool
    }

    private enum Phase {
        /// Entries come.
        case manifest
        /// The manifest is here.
        case content
        /// Everything is here and durable; some of it may have its final name.
        case placing(JournalTotals)
        /// Everything has its final name.
        case stored(JournalTotals)
    }

    let part: PartFolder
    let beginning: JournalBeginning

    private let environment: Environment
    /// All names at the top, where they were asked for.
    private let asked: [EntryName]?
    private let options: TreeOptions
    private var journal: JournalFile
    private var durability: PartDurability
    private var phase = Phase.manifest
    private var writer: ManifestFileWriter
    /// Names at the top that have been announced, and have not come.
    private var due: Set<[UInt8]>
    private var manifest: JournalManifest?
    private var wanted: [WantedRun]?
    private var tree: ContentTree?
    private var placed: [TreePlacement.Placed] = []
    /// How many files or links have been replaced since this process goes on with it.
    private var replaced: UInt64 = 0
    private var renamed: [RenamedEntry] = []
    private var isNew = true
    /// Takes the checksums of what comes; nil where they are not wanted.
    private var taking: ChecksumTaking?
    /// The checksums of all files that are here, once that is whole.
    private var checksums: [FileChecksum] = []
    /// Whether names may have been given before.
    private var mayBeGone = false

    /// Begins a new one in `part`, in which nothing of use is.
    ///
    /// - Parameter asked: all names that it has to have at its top; nil where it was not asked for.
    init(
        _ beginning: JournalBeginning, asked: [EntryName]? = nil, in part: PartFolder, _ environment: Environment
    ) throws(SystemError) {
        self.beginning = beginning
        self.asked = asked
        self.part = part
        self.environment = environment
        options = TreeOptions(
            keepsMetadata: beginning.keepsMetadata, remarks: environment.remarks, calls: environment.calls
        )
        journal = try Self.journal(beginning, in: part, environment)
        durability = PartDurability(part, nil, options)
        due = Self.due(asked, beginning.summary)
        writer = ManifestFileWriter(part.manifest, calls: options.calls)
    }

    /// Goes on with what an earlier process has left in `part`; nil when nothing of it is of use.
    ///
    /// - Parameter asked: all names that it has to have at its top, or it is another thing that was asked for then; nil
    ///   where it was not asked for.
    init?(
        _ replay: JournalReplay, asked: [EntryName]? = nil, in part: PartFolder, _ environment: Environment
    ) throws(TreeFault) {
        self.asked = asked
        guard let state = replay.state, state.isReady, let manifest = state.manifest else { return nil }
        beginning = state.beginning
        self.part = part
        self.environment = environment
        options = TreeOptions(
            keepsMetadata: beginning.keepsMetadata, remarks: environment.remarks, calls: environment.calls
        )
        self.manifest = manifest
        wanted = state.wanted
        due = []
        durability = PartDurability(part, manifest, options)
        writer = ManifestFileWriter(part.manifest, calls: options.calls)
        do throws(SystemError) {
            guard try ManifestFileReader.digest(of: part.manifest, length: manifest.length) == manifest.digest else {
                // What is verified as a whole is not thrown away for it.
                guard state.totals == nil else { throw SystemError(code: EBADMSG) }
                return nil
            }
            journal = try JournalFile(part.journal, goingOn: replay, calls: options.calls)
        } catch {
            throw error.code == EBADMSG ? .damaged : .system(error, "")
        }
        if let asked { try Self.check(part.manifest, manifest, asked) }
        if let totals = state.totals {
            phase = state.isFinished ? .stored(totals) : .placing(totals)
            placed = state.places.map { place in TreePlacement.Placed(place, in: part.folder) }
            mayBeGone = true
            return
        }
        phase = .content
        try goOn(state, manifest)
        if position == .beginning { return nil }
    }

    private mutating func goOn(_ state: JournalState, _ manifest: JournalManifest) throws(TreeFault) {
        var tree = ContentTree(part, manifest, wanted, options, reserves: !beginning.summary.hasHoles)
        try tree.goOn(state, isSameBoot: environment.boot.isSame(as: state.boot))
        self.tree = tree
        let (position, bytes) = (tree.position, tree.bytes)
        let before = state.position
        let hasLost = (position.file, position.offset) < (before.file, before.offset)
        let boot = environment.boot.identifier
        try describing { (journal) throws(SystemError) in
            try journal.append(.run(boot: boot))
            // Something that was durable has gone: a later power cut must not bring it back.
            guard hasLost else { return }
            try journal.append(.position(position, bytes: bytes))
            try journal.sync()
        }
    }

    // MARK: - What is here

    /// From where to go on.
    var position: TransferPosition {
        switch phase {
        case .manifest: .beginning
        case .content: tree?.position ?? .beginning
        case .placing, .stored: TransferPosition(file: manifest?.files ?? 0, offset: 0)
        }
    }

    /// The digest of the manifest, where it is here and content goes on.
    var digest: ManifestDigest? { position == .beginning ? nil : manifest?.digest }

    /// Bytes of content that are here, or are not wanted.
    var bytes: UInt64 {
        switch phase {
        case .manifest: 0
        case .content: tree?.bytes ?? 0
        case .placing(let totals), .stored(let totals): beginning.summary.bytes ?? totals.bytes
        }
    }

    /// Whether nothing that is here may be thrown away.
    var isWhole: Bool {
        switch phase {
        case .manifest, .content: false
        case .placing, .stored: true
        }
    }

    /// Whether everything has its final name.
    var isStored: Bool {
        if case .stored = phase { true } else { false }
    }

    // MARK: - An attempt

    /// Begins an attempt; what the sender would send again from the beginning is forgotten.
    mutating func acceptance() throws(TreeFault) -> Acceptance {
        if !isWhole, position == .beginning { try beginAgain() }
        return Acceptance(position: position, wantsByNote: beginning.existing == .skip, samples: try samples())
    }

    private mutating func beginAgain() throws(TreeFault) {
        if case .content = phase {
            do { journal = try Self.journal(beginning, in: part, environment) } catch { throw .system(error, "") }
        }
        phase = .manifest
        (manifest, wanted, tree) = (nil, nil, nil)
        durability = PartDurability(part, nil, options)
        writer = ManifestFileWriter(part.manifest, calls: options.calls)
        due = Self.due(asked, beginning.summary)
    }

    private static func journal(
        _ beginning: JournalBeginning, in part: PartFolder, _ environment: Environment
    ) throws(SystemError) -> JournalFile {
        var journal = try JournalFile(beginning: part.journal, calls: environment.calls)
        FolderContents.remove(in: part.content)
        try journal.append(.begin(beginning))
        try journal.append(.run(boot: environment.boot.identifier))
        return journal
    }

    private func samples() throws(TreeFault) -> [SourceSample] {
        var samples: [SourceSample] = []
        for block in isWhole ? [] : tree?.samples() ?? [] {
            do throws(SystemError) {
                samples.append(
                    SourceSample(file: block.file, block: block.block, content: try part.content(of: block))
                )
            } catch {
                throw .system(error, block.names.joined(separator: "/"))
            }
        }
        return samples
    }

    // MARK: - The manifest

    /// Takes the next entry.
    mutating func take(_ entry: ManifestEntry) throws(TreeFault) {
        guard case .manifest = phase else { return }
        if entry.parent == nil { try checkOffered(entry.name) }
        try writer.write(entry)
    }

    /// A manifest that is here has these names at its top, and no others.
    private static func check(
        _ file: OpenFile, _ manifest: JournalManifest, _ names: [EntryName]
    ) throws(TreeFault) {
        // Otherwise its summary, which is that of the offer, has told all of them.
        guard names.count >= SealingDefaults.summaryNames else { return }
        var reader = ManifestFileReader(file, length: manifest.length)
        var due = names[...]
        while let entry = try reader.next() {
            guard entry.parent == nil else { continue }
            guard due.popFirst() == entry.name else { throw .notOffered(entry.name.text) }
        }
        if let name = due.first { throw .notOffered(name.text) }
    }

    /// Names are compared byte by byte: two that look alike are two.
    private static func due(_ asked: [EntryName]?, _ summary: OfferSummary) -> Set<[UInt8]> {
        Set(asked?.map(\.bytes) ?? summary.names.map { Array($0.utf8) })
    }

    /// The names at the top that the person was asked about, or has asked for, come, and no others where all of them
    /// are known.
    private mutating func checkOffered(_ name: EntryName) throws(TreeFault) {
        let areAllKnown = asked != nil || beginning.summary.names.count < SealingDefaults.summaryNames
        if due.remove(name.bytes) == nil, areAllKnown { throw .notOffered(name.text) }
    }

    /// The manifest is whole.
    mutating func takeManifest(_ digest: ManifestDigest) throws(TreeFault) -> [WantedNote] {
        if case .manifest = phase { try endManifest(digest) }
        guard manifest?.digest == digest else { throw .otherManifest }
        return beginning.existing == .skip ? WantedFiles.notes(wanted ?? []) : []
    }

    private mutating func endManifest(_ digest: ManifestDigest) throws(TreeFault) {
        try writer.flush()
        guard writer.digest == digest else { throw .otherManifest }
        if let name = due.first { throw .notOffered(String(decoding: name, as: UTF8.self)) }
        if beginning.existing == .skip {
            let existing = try ExistingFiles(part, length: writer.length)
            wanted = existing.wanted
            // Any hole may be in what is wanted.
            let needed = existing.bytes - min(existing.bytes, beginning.summary.holes ?? 0)
            if let free = part.folder.freeSpace(), free < needed { throw .noRoom(needed: needed, free) }
        }
        let isMadeInAdvance = writer.entries > 1 && !environment.takesAllNames(part)
        if isMadeInAdvance { try NamesInAdvance.make(part, length: writer.length, wanted: wanted, options) }
        let manifest = JournalManifest(
            digest: digest, length: writer.length, entries: writer.entries, files: writer.files,
            isMadeInAdvance: isMadeInAdvance
        )
        let notes = wanted.map(WantedFiles.notes) ?? []
        try describing { (journal) throws(SystemError) in
            try journal.append(.manifest(manifest))
            for note in notes { try journal.append(.wanted(note.runs, isLast: note.isLast)) }
        }
        self.manifest = manifest
        tree = ContentTree(part, manifest, wanted, options, reserves: !beginning.summary.hasHoles)
        durability = PartDurability(part, manifest, options)
        phase = .content
    }

    // MARK: - Content

    /// From now on the checksums of files are taken.
    mutating func takeChecksums() { taking = taking ?? ChecksumTaking() }

    /// The file whose content is due; nil when no other is.
    mutating func nextFile() throws(TreeFault) -> ExpectedFile? {
        guard case .content = phase else { return nil }
        durability.hasMade()
        let file = try tree?.nextFile()
        let position = position
        if file != nil { taking?.begin(position) }
        return file
    }

    /// Takes content of that file.
    mutating func write(_ data: ByteBuffer) throws(TreeFault) {
        try tree?.write(data)
        taking?.update(data, last: data.readableBytes)
        durability.hasWritten(UInt64(data.readableBytes))
    }

    /// Takes zero bytes of it.
    mutating func skip(_ hole: UInt64) throws(TreeFault) {
        try tree?.skip(hole)
        taking?.skip(hole)
        durability.hasWritten(0)
    }

    /// The file whose content came last is whole.
    mutating func endFile() throws(TreeFault) {
        guard let ended = tree?.endFile(), let tree else { return }
        taking?.end()
        if ended.entry.size == nil {
            let record = JournalRecord.fileEnd(file: tree.position.file - 1, size: ended.offset)
            try describing { (journal) throws(SystemError) in try journal.append(record) }
        }
        do { try durability.hasEnded(ended) } catch { throw .system(error, "") }
    }

    /// Makes durable what has come, and then says so in the journal.
    mutating func checkpoint(now: NIODeadline, isForced: Bool) throws(TreeFault) {
        guard case .content = phase, let tree, isForced || durability.isDue(now) else { return }
        do { try durability.confirm(tree.current, now: now) } catch { throw .system(error, "") }
        let (position, bytes) = (tree.position, tree.bytes)
        try describing { (journal) throws(SystemError) in
            try journal.append(.position(position, bytes: bytes))
            try journal.sync()
        }
    }

    // MARK: - The end

    /// Makes everything durable and gives it its final names.
    mutating func finish() throws(TreeFault) -> StoredTransfer {
        let held = durability.held
        if case .content = phase { try endContent() }
        guard let manifest else { throw .incomplete }
        if case .placing(let totals) = phase {
            var placement = TreePlacement(
                part, manifest, wanted: wanted, existing: beginning.existing, placed: placed, options)
            defer {
                (placed, replaced) = (placement.placed, replaced + placement.replaced)
                (renamed, isNew) = (placement.renamed, placement.isNew)
                mayBeGone = true
            }
            try placement.run(&journal, held: held, mayBeGone: mayBeGone)
            durability.confirmNames(isDeep: beginning.existing.mergesFolders)
            phase = .stored(totals)
            // Without it, an interruption finds out that there is nothing left to be done.
            try? journal.append(.finished)
        }
        guard case .stored(let totals) = phase else { throw .incomplete }
        return StoredTransfer(
            contents: placed.map(\.content),
            summary: DeliveredSummary(manifest: manifest.digest, entries: totals.entries, bytes: totals.bytes),
            files: totals.files, checksums: checksums, replaced: replaced, isNew: isNew || wanted == nil,
            folder: part.folder.path, renamed: renamed
        )
    }

    /// The checksums of all files, those read that came in an earlier attempt.
    private func allChecksums(
        _ manifest: JournalManifest, _ taken: [UInt64: String]
    ) throws(TreeFault) -> [FileChecksum] {
        var walk = TreeWalk(part, length: manifest.length, top: part.content)
        var wanted = WantedFiles(wanted)
        var checksums: [FileChecksum] = []
        var number: UInt64 = 0
        while let (entry, index) = try walk.next() {
            let name = part.name(of: entry)
            switch entry.kind {
            case .folder:
                try walk.enter(entry, index, walk.folder.flatMap { try? PartFolder.enter(name, in: $0) })
            case .file:
                defer { number += 1 }
                guard wanted.next() else { continue }
                let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
                let file = walk.folder.flatMap { try? OpenFile(name, in: $0, flags: flags) }
                guard let sha256 = taken[number] ?? file.flatMap({ try? FileChecksum.sha256(of: $0) }) else { continue }
                checksums.append(FileChecksum(path: walk.path(of: entry), sha256: sha256))
            case .link: break
            }
        }
        return checksums
    }

    /// Makes durable that everything is stored: until its sender knows, a later attempt is answered by that, and not by
    /// a second copy. What fails then costs no more than such a copy.
    mutating func confirmParts() {
        try? journal.sync()
        durability.confirmPart()
    }

    private mutating func endContent() throws(TreeFault) {
        guard try tree?.nextFile() == nil, let tree, let manifest else { throw .incomplete }
        if let taken = taking?.taken { checksums = try allChecksums(manifest, taken) }
        if beginning.keepsMetadata { try setFolderModes(manifest) }
        let totals = tree.totals
        do throws(SystemError) {
            try durability.confirmEnd()
        } catch {
            throw .unconfirmed(error)
        }
        try describing { (journal) throws(SystemError) in
            try journal.append(.placing(totals))
            try journal.sync()
        }
        phase = .placing(totals)
        guard tree.linksLeftOut > 0 else { return }
        let (place, isOne) = (DisplayName.escape(part.folder.path), tree.linksLeftOut == 1)
        let what = isOne ? "a link was" : "\(tree.linksLeftOut) links were"
        options.remarks.say("\(what) not made in \"\(place)\": to have \(isOne ? "it" : "them"), use --preserve")
    }

    /// Sets the modes of folders last, because they may keep even the owner out of a folder.
    private func setFolderModes(_ manifest: JournalManifest) throws(TreeFault) {
        let metadata = EntryMetadata(part: part, options: options)
        var walk = TreeWalk(part, length: manifest.length, top: part.content)
        while let (entry, number) = try walk.next(leaving: { entry, folder in metadata.setMode(of: folder, entry) }) {
            guard case .folder = entry.kind else { continue }
            let folder = walk.folder.flatMap { folder in try? PartFolder.enter(part.name(of: entry), in: folder) }
            try walk.enter(entry, number, folder)
        }
    }

    private mutating func describing(_ body: (inout JournalFile) throws(SystemError) -> Void) throws(TreeFault) {
        do { try body(&journal) } catch { throw .system(error, "") }
    }
}
