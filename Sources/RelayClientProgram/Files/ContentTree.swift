// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
import TransferClient

/// The tree of a transfer as it comes: makes folders, files and links in the order of the manifest, each relative to
/// the open folder that it is in, and follows no link.
struct ContentTree {
    /// The file that content comes into.
    struct CurrentFile {
        let entry: ManifestEntry
        let file: OpenFile
        /// How much of it is here.
        fileprivate(set) var offset: UInt64
        fileprivate var writtenBack: UInt64
        fileprivate var isReserved = false
    }

    private let part: PartFolder
    private let calls: FileCalls
    private let metadata: EntryMetadata
    private let reserves: Bool
    private var walk: TreeWalk
    private var wanted: WantedFiles
    /// A file that was read from the manifest and is to be opened, with what is here of it.
    private var due: (entry: ManifestEntry, offset: UInt64)?
    private var isOver = false
    /// Whether what is to be made may be there already.
    private var mayExist: Bool
    /// Files that are here, or are not wanted, and their bytes.
    private var files: UInt64 = 0
    private var fileBytes: UInt64 = 0
    private var sampler = BlockSampler()

    private(set) var current: CurrentFile?
    /// What is here.
    private(set) var totals = JournalTotals(entries: 0, files: 0, bytes: 0)
    /// Links that are not kept.
    private(set) var linksLeftOut = 0

    /// - Parameter reserves: whether the room of a file is asked for before it comes; not where some of it are holes.
    init(
        _ part: PartFolder, _ manifest: JournalManifest, _ wanted: [WantedRun]?, _ options: TreeOptions, reserves: Bool
    ) {
        self.reserves = reserves
        self.part = part
        calls = options.calls
        metadata = EntryMetadata(part: part, options: options)
        walk = TreeWalk(part, length: manifest.length, top: part.content)
        self.wanted = WantedFiles(wanted)
        mayExist = manifest.isMadeInAdvance
    }

    /// From where the content goes on.
    var position: TransferPosition { TransferPosition(file: files, offset: current?.offset ?? due?.offset ?? 0) }

    /// Bytes of content that are here, or are not wanted.
    var bytes: UInt64 { fileBytes.addingReportingOverflow(position.offset).partialValue }

    // MARK: - Content

    /// The file whose content is due, made if it is not there; nil when no other is.
    mutating func nextFile() throws(TreeFault) -> ExpectedFile? {
        if current == nil {
            guard let (entry, offset) = try nextDue() else { return nil }
            current = try open(entry, offset)
            due = nil
        }
        return current.map { current in ExpectedFile(size: current.entry.size, offset: current.offset) }
    }

    /// Takes content of that file.
    mutating func write(_ data: ByteBuffer) throws(TreeFault) {
        guard var file = current else { return }
        do throws(SystemError) {
            try reserve(&file)
            try calls.writeAll(data, to: file.file.descriptor, at: file.offset)
        } catch {
            throw .system(error, walk.path(of: file.entry))
        }
        file.offset += UInt64(data.readableBytes)
        if file.offset - file.writtenBack >= Defaults.writeBackBytes {
            // Only so that a checkpoint has less to wait for.
            let (start, length) = (Int64(clamping: file.writtenBack), Int64(clamping: file.offset - file.writtenBack))
            _ = calls.startWriteBack(file.file.descriptor, start, length)
            file.writtenBack = file.offset
        }
        current = file
    }

    /// Takes zero bytes of it, for which the disk needs no room.
    mutating func skip(_ hole: UInt64) throws(TreeFault) {
        guard var file = current else { return }
        let (end, overflow) = file.offset.addingReportingOverflow(hole)
        do throws(SystemError) {
            guard !overflow, let length = Int64(exactly: end) else { throw SystemError(code: EFBIG) }
            try SystemError.check { calls.truncate(file.file.descriptor, length) }
        } catch {
            throw .system(error, walk.path(of: file.entry))
        }
        if file.isReserved {
            _ = calls.punchHole(file.file.descriptor, Int64(clamping: file.offset), Int64(clamping: hole))
        }
        file.offset = end
        file.writtenBack = end
        current = file
    }

    /// The file whose content came last is whole; returns it.
    mutating func endFile() -> CurrentFile? {
        guard let file = current else { return nil }
        metadata.set(of: file.file, file.entry)
        current = nil
        pass(file.entry, size: file.offset)
        return file
    }

    /// Blocks of what is here, also of the file under way.
    func samples() -> [BlockSampler.Block] {
        var sampler = sampler
        if let entry = current?.entry ?? due?.entry {
            let blocks = position.offset / UInt64(SourceSample.blockLength)
            sampler.add(file: files, blocks: blocks) { walk.names(to: entry) }
        }
        return sampler.all
    }

    /// Asks for the room of a large file at once, so that a disk too small is found at the first byte and not at the
    /// last.
    private func reserve(_ file: inout CurrentFile) throws(SystemError) {
        guard reserves, !file.isReserved, let size = file.entry.size, size > file.offset else { return }
        file.isReserved = true
        guard size - file.offset >= Defaults.reservedSize else { return }
        let (start, length) = (Int64(clamping: file.offset), Int64(clamping: size - file.offset))
        do {
            try SystemError.check { calls.reserve(file.file.descriptor, start, length) }
        } catch {
            // Not every file system can; there the writes will tell.
            if error.isFull { throw error }
        }
    }

    // MARK: - Going on

    /// Goes over what an earlier process has left, up to where content goes on. What was written since the system was
    /// booted is there; otherwise only what the journal says is durable.
    mutating func goOn(_ state: JournalState, isSameBoot: Bool) throws(TreeFault) {
        mayExist = true
        while due == nil {
            guard let (entry, number) = try nextEntry() else {
                isOver = true
                return
            }
            guard case .file(let size) = entry.kind else {
                try make(entry, number)
                continue
            }
            guard wanted.next() else {
                skipFile(size)
                continue
            }
            let name = part.name(of: entry)
            let found = walk.folder.flatMap { folder in OpenFile.status(of: name, in: folder) }
            let offset = here(size, found, state, isSameBoot)
            if let found, offset == nil {
                repair(entry, found)
                pass(entry, size: UInt64(clamping: found.st_size))
            } else {
                due = (entry, offset ?? 0)
                try cut(entry, to: offset ?? 0)
            }
        }
        // What an earlier boot has written behind the position is not known to be whole.
        if !isSameBoot || files < state.position.file { try sweep() }
    }

    /// How much of the next file is here; nil when it is whole.
    private func here(_ size: UInt64?, _ found: stat?, _ state: JournalState, _ isSameBoot: Bool) -> UInt64? {
        guard let found, found.st_mode & S_IFMT == S_IFREG else { return 0 }
        let length = UInt64(clamping: found.st_size)
        let whole = size ?? state.sizes[files]
        let durable = state.position
        // It was whole before; then it was changed.
        if files < durable.file { return length == whole ? nil : 0 }
        let least = files == durable.file ? durable.offset : 0
        guard length >= least else { return 0 }
        guard isSameBoot else { return least }
        guard let whole else { return length }
        return length == whole ? nil : length < whole ? length : 0
    }

    /// A file that is whole may not have got its time and its permissions yet.
    private func repair(_ entry: ManifestEntry, _ found: stat) {
        guard let folder = walk.folder, !metadata.isSet(entry, found) else { return }
        if let file = try? PartFolder.openFile(part.name(of: entry), in: folder) { metadata.set(of: file, entry) }
    }

    /// Takes away what is behind the `offset` from which the file goes on.
    private func cut(_ entry: ManifestEntry, to offset: UInt64) throws(TreeFault) {
        guard let folder = walk.folder else { return }
        do throws(SystemError) {
            if offset == 0 { return try remove(part.name(of: entry), in: folder) }
            let file = try PartFolder.openFile(part.name(of: entry), in: folder)
            try SystemError.check { calls.truncate(file.descriptor, Int64(clamping: offset)) }
        } catch {
            throw .system(error, walk.path(of: entry))
        }
    }

    /// Takes away all files behind the next one.
    private func sweep() throws(TreeFault) {
        var rest = walk
        while let (entry, number) = try rest.next() {
            switch entry.kind {
            case .folder:
                let folder = rest.folder.flatMap { folder in try? PartFolder.enter(part.name(of: entry), in: folder) }
                try rest.enter(entry, number, folder)
            case .file:
                guard let folder = rest.folder else { continue }
                do {
                    try remove(part.name(of: entry), in: folder)
                } catch {
                    throw .system(error, rest.path(of: entry))
                }
            case .link: break
            }
        }
    }

    private func remove(_ name: String, in folder: OpenFile) throws(SystemError) {
        do throws(SystemError) {
            try SystemError.check { calls.remove(folder.descriptor, name) }
        } catch  where error.code == ENOENT {}
    }

    // MARK: - Entries

    /// Goes on to the next file that is wanted, and makes what comes before it; nil at the end.
    private mutating func nextDue() throws(TreeFault) -> (entry: ManifestEntry, offset: UInt64)? {
        while due == nil, !isOver {
            guard let (entry, number) = try nextEntry() else {
                isOver = true
                break
            }
            if case .file(let size) = entry.kind {
                if wanted.next() { due = (entry, 0) } else { skipFile(size) }
            } else {
                try make(entry, number)
            }
        }
        return due
    }

    private mutating func nextEntry() throws(TreeFault) -> (entry: ManifestEntry, number: UInt32)? {
        try walk.next { [metadata] entry, folder throws(SystemError) in metadata.set(of: folder, entry) }
    }

    /// Makes a folder or a link.
    private mutating func make(_ entry: ManifestEntry, _ number: UInt32) throws(TreeFault) {
        let made: OpenFile?
        do throws(SystemError) {
            guard let folder = walk.folder else { throw SystemError(code: ENOENT) }
            switch entry.kind {
            case .folder: made = try PartFolder.makeFolder(part.name(of: entry), in: folder, mayExist: mayExist)
            case .link(let target):
                guard metadata.keepsAll else {
                    linksLeftOut += 1
                    // It counts: its sender cannot know that it is not wanted here.
                    totals = JournalTotals(entries: totals.entries + 1, files: totals.files, bytes: totals.bytes)
                    return
                }
                made = nil
                try metadata.makeLink(entry, to: target, in: folder, mayExist: mayExist)
            case .file: return
            }
        } catch {
            throw .making(error, walk.path(of: entry))
        }
        if let made { try walk.enter(entry, number, made) }
        totals = JournalTotals(entries: totals.entries + 1, files: totals.files, bytes: totals.bytes)
    }

    private func open(_ entry: ManifestEntry, _ offset: UInt64) throws(TreeFault) -> CurrentFile {
        do throws(SystemError) {
            guard let folder = walk.folder else { throw SystemError(code: ENOENT) }
            let making = offset > 0 ? 0 : mayExist ? O_CREAT | O_TRUNC : O_CREAT | O_EXCL
            let file = try PartFolder.openFile(part.name(of: entry), in: folder, making)
            return CurrentFile(entry: entry, file: file, offset: offset, writtenBack: offset)
        } catch {
            throw .making(error, walk.path(of: entry))
        }
    }

    private mutating func skipFile(_ size: UInt64?) {
        files += 1
        fileBytes = fileBytes.addingReportingOverflow(size ?? 0).partialValue
    }

    /// The next file is here, and so long.
    private mutating func pass(_ entry: ManifestEntry, size: UInt64) {
        let block = UInt64(SourceSample.blockLength)
        let blocks = size / block + (size % block == 0 ? 0 : 1)
        sampler.add(file: files, blocks: blocks) { [walk] in walk.names(to: entry) }
        skipFile(size)
        let bytes = totals.bytes.addingReportingOverflow(size).partialValue
        totals = JournalTotals(entries: totals.entries + 1, files: totals.files + 1, bytes: bytes)
    }
}
