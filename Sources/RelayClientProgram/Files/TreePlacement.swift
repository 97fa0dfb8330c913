// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing
import TransferClient

/// Gives a whole and durable tree its final names: what is at the top of it goes into the folder that is received into,
/// and never over what is there. What has gone already, before an interruption, is left where it is.
struct TreePlacement {
    /// A stored entry of the top, and its number.
    struct Placed {
        let entry: UInt32
        let content: StoredContent
    }

    /// What is stored, as far as that is told.
    private(set) var placed: [Placed]

    private let part: PartFolder
    private let options: TreeOptions
    private let metadata: EntryMetadata
    /// Whether what is in a folder of the same name goes into that one.
    private let merges: Bool
    private var walk: TreeWalk
    private var target: TreeWay
    private var wanted: WantedFiles

    /// - Parameter placed: names that were given already, or may have been.
    init(
        _ part: PartFolder, _ manifest: JournalManifest, wanted: [WantedRun]?, placed: [Placed], _ options: TreeOptions
    ) {
        self.part = part
        self.options = options
        metadata = EntryMetadata(part: part, options: options)
        merges = wanted != nil
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
                try enter(entry, number, nil, nil)
                continue
            }
            guard isSame(entry, status, held) else { throw moved(entry, held) }
            if isThere(entry, in: into) { continue }
            if let existing = existing(entry, in: into) {
                try merge(entry, number, from: source, into: existing, &journal)
            } else {
                try give(entry, number, status, from: source, into: into, &journal)
                try enter(entry, number, nil, nil)
            }
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
    private func existing(_ entry: ManifestEntry, in folder: OpenFile) -> OpenFile? {
        guard merges, case .folder = entry.kind else { return nil }
        return try? OpenFile(names(of: entry).text, in: folder, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// Whether the link that an entry is leads to the same place there already, where folders become one.
    private func isThere(_ entry: ManifestEntry, in folder: OpenFile) -> Bool {
        guard merges, case .link(let path) = entry.kind else { return false }
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
                try say(names(of: entry).text, number, try existing.status(), &journal)
            }
        } catch {
            throw .unnamed(error, walk.path(of: entry))
        }
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
                guard OpenFile.status(of: candidate, in: folder) == nil else { continue }
                if entry.parent == nil { try say(candidate, number, status, &journal) }
                guard case .given(let leftover) = try give(candidate, entry, from: source, into: folder) else {
                    continue
                }
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
        _ name: String, _ entry: ManifestEntry, from source: OpenFile, into folder: OpenFile
    ) throws(SystemError) -> NewName.Outcome {
        let old = part.name(of: entry)
        do throws(SystemError) {
            return try NewName.give(name, to: old, in: source, movingTo: folder, calls: options.calls)
        } catch  where error.code == EACCES || error.code == EPERM {
            // Permissions that are kept may not let an owner move it, or out of there.
            guard metadata.keepsAll else { throw error }
            fchmod(source.descriptor, PrivateFolder.mode)
            let moving = entry.kind == .folder ? try? PartFolder.enter(old, in: source) : nil
            if let moving { fchmod(moving.descriptor, PrivateFolder.mode) }
            defer { if let moving { metadata.setMode(of: moving, entry) } }
            return try NewName.give(name, to: old, in: source, movingTo: folder, calls: options.calls)
        }
    }

    /// Writes down which name an entry of the top gets next, and remembers it.
    private mutating func say(
        _ name: String, _ number: UInt32, _ status: stat, _ journal: inout JournalFile
    ) throws(SystemError) {
        let identity = OpenFile.Identity(status)
        let place = JournalPlace(
            entry: number, name: name, device: identity.device, inode: identity.number,
            format: UInt32(status.st_mode & S_IFMT)
        )
        try journal.append(.place(place))
        if let last = placed.last, number <= last.entry { placed.removeAll { $0.entry == number } }
        if placed.count < Defaults.mostStoredContents { placed.append(Placed(place, in: part.folder)) }
    }
}

extension TreePlacement.Placed {
    /// What a journal says.
    init(_ place: JournalPlace, in folder: ReceiveFolder) {
        entry = place.entry
        content = StoredContent(
            place.name, in: folder, identity: OpenFile.Identity(device: place.device, number: place.inode),
            format: mode_t(place.format)
        )
    }
}
