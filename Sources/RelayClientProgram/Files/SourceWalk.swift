// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing

/// A walk through what a scan found, in the order of the manifest, that finds each entry on the disk again. Nothing is
/// opened but the folders on the way to what is asked for.
struct SourceWalk {
    private let catalogue: SourceCatalogue
    private var cursor = WrittenManifest.Cursor()
    private var way = FolderWay()
    private var nextTop = 0
    /// Where the walk is; nil before the first entry.
    private(set) var entry: EntryOutline?

    init(through catalogue: SourceCatalogue) { self.catalogue = catalogue }

    /// The next entry; nil at the end.
    mutating func next() -> EntryOutline? {
        if let entry, entry.kind == .folder {
            if let top { way.enter(top, number: entry.number) } else { way.enter(path, number: entry.number) }
        }
        entry = catalogue.manifest.next(&cursor)
        guard let entry else { return nil }
        way.leave(to: entry.parent)
        if entry.parent == nil { nextTop += 1 }
        return entry
    }

    /// The next file, and its size; nil at the end.
    mutating func nextFile() -> (EntryOutline, size: UInt64?)? {
        while let entry = next() {
            if case .file(let size) = entry.kind { return (entry, size) }
        }
        return nil
    }

    /// The path of the entry, for messages.
    var shownPath: String { way.path(of: path) }

    /// Opens the entry, which is a file; throws unless it is still the one that was found.
    mutating func open() throws(SourceFault) -> OpenFile {
        let file: OpenFile
        let status: stat
        do throws(SystemError) {
            // Without O_NONBLOCK, opening a named pipe would wait for a process that writes to it.
            let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY
            file =
                if let top {
                    try top.open(flags: flags)
                } else {
                    try OpenFile(path, in: try way.folder(), flags: flags | O_NOFOLLOW)
                }
            status = try file.status()
        } catch {
            throw .absent(shownPath, error)
        }
        guard isUnchanged(status) else { throw .changed(shownPath) }
        return file
    }

    /// Throws unless the entry is still what was found.
    mutating func check() throws(SourceFault) {
        let status: stat
        do throws(SystemError) {
            status =
                if let top {
                    try top.status()
                } else {
                    try OpenFile.status(of: path, in: try way.folder(), followsLinks: false)
                }
        } catch {
            throw .absent(shownPath, error)
        }
        guard isUnchanged(status) else { throw .changed(shownPath) }
    }

    /// How the entry, which is a file and of which everything has been read, was changed; nil when it was not.
    func change(_ status: stat, size: UInt64?) -> SourceFault? {
        if isUnchanged(status) { return nil }
        guard let size else { return .writtenTo(shownPath) }
        let now = UInt64(max(0, status.st_size))
        return now > size ? .grew(shownPath) : now < size ? .shrank(shownPath) : .writtenTo(shownPath)
    }

    /// Whether the entry, with this status now, is what was found.
    private func isUnchanged(_ status: stat) -> Bool {
        guard let entry, catalogue.versions.indices.contains(Int(entry.number)) else { return false }
        let isFolder = entry.kind == .folder
        guard (status.st_mode & S_IFMT == S_IFDIR) == isFolder else { return false }
        let version = isFolder ? SourceVersion(folder: status) : SourceVersion(status)
        return version == catalogue.versions[Int(entry.number)]
    }

    /// The entry, where it is one of those at the top.
    private var top: SourceTop? {
        guard entry?.parent == nil, catalogue.tops.indices.contains(nextTop - 1) else { return nil }
        return catalogue.tops[nextTop - 1]
    }

    private var path: PathName { top?.path ?? entry.map { PathName($0.name) } ?? PathName("") }
}
