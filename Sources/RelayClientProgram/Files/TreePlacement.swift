// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing
import TransferClient

/// Gives a whole and durable tree its final names: what is at the top of it goes into the folder that is received into,
/// and never over what is there, unless that is to be replaced. What has gone already, before an interruption, is left
/// where it is.
struct TreePlacement {
    /// A stored entry of the top, and its number.
    struct Placed {
        let entry: UInt32
        let name: String
        let content: StoredContent
        /// What it was sent as, once that is known.
        var offered: String?
    }

    /// What is stored, as far as that is told.
    private(set) var placed: [Placed]
    /// How many files or links were replaced.
    private(set) var replaced: UInt64 = 0
    /// Whether anything was given a name, and not found to be there already.
    private(set) var isNew = false

    private let part: PartFolder
    private let options: TreeOptions
    private let metadata: EntryMetadata
    /// What becomes of what has a final name already.
    private let existing: ExistingRule
    /// Final names that two entries can come down to, and that one of them has: what this transfer brought is not
    /// replaced by the rest of it. Of each a hash, as there may be many and they are long.
    private var given: Set<Int> = []
    /// How many entries got another name than theirs because of what is there.
    private var evaded = 0
    private var walk: TreeWalk
    private var target: TreeWay
    private var wanted: WantedFiles

    /// - Parameter placed: names that were given already, or may have been.
    init(
        _ part: PartFolder, _ manifest: JournalManifest, wanted: [WantedRun]?, existing: ExistingRule,
        placed: [Placed], _ options: TreeOptions
    ) {
        self.part = part
        self.options = options
        metadata = EntryMetadata(part: part, options: options)
        self.existing = existing
        walk = TreeWalk(part, length: manifest.length, top: part.content)
        target = TreeWay(part.folder.handle)
        self.wanted = WantedFiles(wanted)
        self.placed = placed
    }

    /// Gives all names.
    ///
    /// - Parameter held: files of the top that are held open, to know them by.
    /// - Parameter mayBeGone: whether some entries may have their names already.
    mutating func run(
        _ journal: inout JournalFile, held: [ContentTree.CurrentFile], mayBeGone: Bool
    ) throws(TreeFault) {
        while let (entry, number) = try walk.next() {
            try follow(entry)
            if case .file = entry.kind, !wanted.next() { continue }
            if case .link = entry.kind, !metadata.keepsAll { continue }
            guard let source = walk.folder, let into = target.current else {
                try enter(entry, number, nil, nil)
                continue
            }
            guard let status = OpenFile.status(of: part.name(of: entry), in: source) else {
                guard mayBeGone else { throw moved(entry, held) }
                isNew = true
                if entry.parent == nil {
                    let place = placed.first { $0.entry == number }
                    remember(place?.name ?? names(of: entry).text, in: into)
                    name(number, entry)
                }
                try enter(entry, number, nil, nil)
                continue
            }
            guard isSame(entry, status, held) else { throw moved(entry, held) }
            if isThere(entry, in: into) { continue }
            if let folder = existingFolder(entry, in: into) {
                try merge(entry, number, from: source, into: folder, &journal)
            } else {
                try give(entry, number, status, from: source, into: into, &journal)
                try enter(entry, number, nil, nil)
            }
        }
        if evaded > Defaults.toldNames {
            let count = evaded - Defaults.toldNames
            options.remarks.say("so \(count == 1 ? "was 1 other" : "were \(count) others"), with a number in the name")
        }
    }

    // MARK: - Walking

    /// Goes up in the target as in the source.
    private mutating func follow(_ entry: ManifestEntry) throws(TreeFault) {
        do throws(SystemError) {
            while target.depth > 0, target.number != entry.parent { _ = try target.leave() }
        } catch {
            throw .unnamed(error, walk.path(of: entry))
        }
    }

    private mutating func enter(
        _ entry: ManifestEntry, _ number: UInt32, _ source: OpenFile?, _ into: OpenFile?
    ) throws(TreeFault) {
        guard case .folder = entry.kind else { return }
        try walk.enter(entry, number, source)
        do { try target.enter(number, entry, into) } catch { throw .unnamed(error, walk.path(of: entry)) }
    }

    /// Whether what is here under the name of an entry is what was received.
    private func isSame(_ entry: ManifestEntry, _ status: stat, _ held: [ContentTree.CurrentFile]) -> Bool {
        switch entry.kind {
        case .folder: return status.st_mode & S_IFMT == S_IFDIR
        case .link: return status.st_mode & S_IFMT == S_IFLNK
        case .file(let size):
            guard status.st_mode & S_IFMT == S_IFREG else { return false }
            if let size, UInt64(clamping: status.st_size) != size { return false }
            guard let file = held.first(where: { $0.entry == entry }) else { return true }
            return (try? file.file.identity()) == OpenFile.Identity(status)
        }
    }

    private func moved(_ entry: ManifestEntry, _ held: [ContentTree.CurrentFile]) -> TreeFault {
        let file = held.first { $0.entry == entry }?.file
        let isSomewhere = (try? file?.status().st_nlink).map { links in links > 0 } ?? false
        let path = part.path(of: PartFolder.contentName + "/" + walk.path(of: entry))
        return .moved(path, now: isSomewhere ? file?.path() : nil)
    }

    // MARK: - Names

    /// The folder that is there already under the final name of an entry, where they become one.
    private func existingFolder(_ entry: ManifestEntry, in folder: OpenFile) -> OpenFile? {
        let name = names(of: entry).text
        guard existing.mergesFolders, case .folder = entry.kind, !hasGiven(name, in: folder) else { return nil }
        return try? OpenFile(name, in: folder, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// Whether the link that an entry is leads to the same place there already, where folders become one.
    private func isThere(_ entry: ManifestEntry, in folder: OpenFile) -> Bool {
        guard existing.mergesFolders, case .link(let path) = entry.kind else { return false }
        var found = [CChar](repeating: 0, count: path.count + 1)
        let count = unsafe readlinkat(folder.descriptor, names(of: entry).text, &found, found.count)
        return count == path.count && found.dropLast().map(UInt8.init(bitPattern:)) == path
    }

    /// Below the top, names are what they are.
    private func names(of entry: ManifestEntry) -> (text: String, safe: SafeFileName) {
        let safe = part.folder.safeName(of: entry)
        return (entry.parent == nil ? safe.text : entry.name.text, safe)
    }

    private mutating func merge(
        _ entry: ManifestEntry, _ number: UInt32, from source: OpenFile, into existing: OpenFile,
        _ journal: inout JournalFile
    ) throws(TreeFault) {
        let folder: OpenFile
        do throws(SystemError) {
            folder = try PartFolder.enter(part.name(of: entry), in: source)
            if entry.parent == nil {
                try say(names(of: entry).text, number, entry, try existing.status(), &journal)
            }
        } catch {
            throw .unnamed(error, walk.path(of: entry))
        }
        if entry.parent == nil { remember(names(of: entry).text, in: part.folder.handle) }
        try enter(entry, number, folder, existing)
    }

    private mutating func give(
        _ entry: ManifestEntry, _ number: UInt32, _ status: stat, from source: OpenFile, into folder: OpenFile,
        _ journal: inout JournalFile
    ) throws(TreeFault) {
        let (text, safe) = names(of: entry)
        do throws(SystemError) {
            for attempt in 0...Defaults.maximumNumberedNames {
                let candidate = attempt == 0 ? text : safe.numbered(attempt)
                let there = OpenFile.status(of: candidate, in: folder)
                let isReplaced = attempt == 0 && replaces(there, status, candidate, in: folder)
                guard there == nil || isReplaced else { continue }
                if entry.parent == nil { try say(candidate, number, entry, status, &journal) }
                guard
                    case .given(let leftover) = try give(
                        candidate, entry, from: source, into: folder, replacing: isReplaced ? there : nil)
                else { continue }
                isNew = true
                if isReplaced { replaced += 1 }
                // Others below the top have their own names, of which no two are the same.
                if entry.parent == nil || attempt > 0 { remember(candidate, in: folder) }
                if attempt > 0 { sayEvaded(entry, text, as: candidate, in: folder) }
                if let leftover {
                    let kept = part.path(of: PartFolder.contentName + "/" + walk.path(of: entry))
                    options.remarks.say(
                        "\"\(DisplayName.path(kept))\" is left over and could not be removed (\(leftover))"
                    )
                }
                return
            }
        } catch {
            throw .unnamed(error, walk.path(of: entry))
        }
        throw .unnamed(nil, walk.path(of: entry))
    }

    private func give(
        _ name: String, _ entry: ManifestEntry, from source: OpenFile, into folder: OpenFile, replacing there: stat?
    ) throws(SystemError) -> NewName.Outcome {
        let (old, calls) = (part.name(of: entry), options.calls)
        if let there, case .file = entry.kind { metadata.setMode(of: old, in: source, like: there) }
        let move = { () throws(SystemError) -> NewName.Outcome in
            there == nil
                ? try NewName.give(name, to: old, in: source, movingTo: folder, calls: calls)
                : try NewName.replace(name, with: old, in: source, movingTo: folder, calls: calls)
        }
        do throws(SystemError) {
            return try move()
        } catch  where error.code == EACCES || error.code == EPERM {
            // Permissions that are kept may not let an owner move it, or out of there.
            guard metadata.keepsAll else { throw error }
            fchmod(source.descriptor, PrivateFolder.mode)
            let moving = entry.kind == .folder ? try? PartFolder.enter(old, in: source) : nil
            if let moving { fchmod(moving.descriptor, PrivateFolder.mode) }
            defer { if let moving { metadata.setMode(of: moving, entry) } }
            return try move()
        }
    }

    // MARK: - In the place of others

    /// Whether what is `there` under a final name is replaced by what has that `status`: something of the same kind
    /// that is no folder, and did not come with this transfer.
    private func replaces(_ there: stat?, _ status: stat, _ name: String, in folder: OpenFile) -> Bool {
        guard existing == .replace, let there, there.st_mode & S_IFMT == status.st_mode & S_IFMT else { return false }
        return there.st_mode & S_IFMT != S_IFDIR && !hasGiven(name, in: folder)
    }

    /// This transfer has given a name.
    private mutating func remember(_ name: String, in folder: OpenFile) {
        if existing == .replace { given.insert(Self.hash(name, in: folder)) }
    }

    private func hasGiven(_ name: String, in folder: OpenFile) -> Bool {
        !given.isEmpty && given.contains(Self.hash(name, in: folder))
    }

    private static func hash(_ name: String, in folder: OpenFile) -> Int {
        var hasher = Hasher()
        hasher.combine(try? folder.identity())
        hasher.combine(name)
        return hasher.finalize()
    }

    /// Tells of an entry that could not take the place of what is there.
    private mutating func sayEvaded(_ entry: ManifestEntry, _ name: String, as given: String, in folder: OpenFile) {
        guard existing == .replace else { return }
        evaded += 1
        guard evaded <= Defaults.toldNames, let status = OpenFile.status(of: name, in: folder) else { return }
        let there: String
        if hasGiven(name, in: folder) {
            there = "came with the same transfer"
        } else {
            switch status.st_mode & S_IFMT {
            case S_IFDIR: there = "is a folder here, and stays"
            case S_IFLNK: there = "is a link here, and stays"
            case S_IFREG: there = "is a file here, and stays"
            default: there = "is no file here, and stays"
            }
        }
        let what = entry.kind.phrase
        options.remarks.say(
            "\"\(DisplayName.path(walk.path(of: entry)))\" \(there): the \(what) that came is stored as "
                + "\"\(DisplayName.escape(given))\""
        )
    }

    /// Writes down which name an entry of the top gets next, and remembers it.
    private mutating func say(
        _ name: String, _ number: UInt32, _ entry: ManifestEntry, _ status: stat, _ journal: inout JournalFile
    ) throws(SystemError) {
        let identity = OpenFile.Identity(status)
        let place = JournalPlace(
            entry: number, name: name, device: identity.device, inode: identity.number,
            format: UInt32(status.st_mode & S_IFMT)
        )
        try journal.append(.place(place))
        if let last = placed.last, number <= last.entry { placed.removeAll { $0.entry == number } }
        if placed.count < Defaults.mostStoredContents { placed.append(Placed(place, in: part.folder)) }
        self.name(number, entry)
    }

    /// Remembers what an entry was sent as; those that are told are the first.
    private mutating func name(_ number: UInt32, _ entry: ManifestEntry) {
        guard let last = placed.last, number <= last.entry else { return }
        if let index = placed.lastIndex(where: { $0.entry == number }) { placed[index].offered = entry.name.text }
    }

    /// Entries of the top, of several, that have another name here than they were sent under.
    var renamed: [RenamedEntry] {
        // Where others are replaced, it has been told why this one could not be.
        guard placed.count > 1, existing != .replace else { return [] }
        return placed.compactMap { placed in
            guard let offered = placed.offered, offered != placed.name else { return nil }
            return RenamedEntry(offered: offered, path: placed.content.path)
        }
    }
}

extension ManifestEntry.Kind {
    fileprivate var phrase: String {
        switch self {
        case .folder: "folder"
        case .file: "file"
        case .link: "link"
        }
    }
}

extension TreePlacement.Placed {
    /// What a journal says.
    init(_ place: JournalPlace, in folder: ReceiveFolder) {
        (entry, name) = (place.entry, place.name)
        content = StoredContent(
            place.name, in: folder, identity: OpenFile.Identity(device: place.device, number: place.inode),
            format: mode_t(place.format)
        )
    }
}
