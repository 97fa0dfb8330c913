// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Crypto
import Glibc
import PrivateFiles
import Sealing

/// What of the found files and folders is sent.
struct SourceOptions: Hashable, Sendable {
    /// Patterns of what is left out.
    var exclude: [String] = []
    /// Whether permissions and links are sent.
    var keepsMetadata = false
}

/// Looks at everything that the person named, before the receiver is asked: depth first, each folder in the order of
/// names' bytes. Opens no more than has to be opened to know that it can be sent.
struct SourceScan {
    private(set) var catalogue = SourceCatalogue()
    private let options: SourceOptions
    private let excluded: [ExcludePattern]
    private let omissions: Omissions
    private var way = FolderWay()
    /// What is left of each folder of the way.
    private var listings: [FolderListing] = []
    private var words: [UInt64] = []
    private var hash = SHA256()

    init(_ options: SourceOptions, remark: @escaping (String) -> Void) {
        self.options = options
        excluded = options.exclude.map(ExcludePattern.init)
        omissions = Omissions(remark)
    }

    /// Scans; returns what tells whether a later scan found the same.
    mutating func run(_ tops: [SourceTop]) throws(SourceFault) -> [UInt8] {
        for top in try Self.sorted(tops) { try add(top) }
        guard catalogue.manifest.entries > 0 else { throw .allExcluded }
        omissions.finish()
        flushWords()
        hash.update(data: catalogue.manifest.digest)
        hash.update(data: [options.keepsMetadata ? 1 : 0])
        for pattern in options.exclude { hash.update(data: Array(pattern.utf8) + [0]) }
        return Array(hash.finalize())
    }

    // MARK: - What the person named

    /// What the person named.
    static func tops(_ paths: [String]) throws(SourceFault) -> [SourceTop] {
        var tops: [SourceTop] = []
        for path in paths { tops.append(SourceTop(path: PathName(path), name: try name(of: path))) }
        return tops
    }

    /// In the order of their names, no two of which are the same.
    private static func sorted(_ tops: [SourceTop]) throws(SourceFault) -> [SourceTop] {
        let tops = tops.sorted { $0.name < $1.name }
        for (first, second) in zip(tops, tops.dropFirst()) where first.name == second.name {
            throw .sameName(first.name.text)
        }
        return tops
    }

    /// The last component; of one that says only where the folder is, what the folder is called.
    static func name(of path: String) throws(SourceFault) -> EntryName {
        guard !path.isEmpty else { throw .unreadable(path, SystemError(code: ENOENT)) }
        var last = path.utf8.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        if last.isEmpty || last == Array(".".utf8) || last == Array("..".utf8) {
            guard let real = unsafe realpath(path, nil) else { throw .unreadable(path, .last) }
            defer { unsafe free(real) }
            let bytes = unsafe UnsafeBufferPointer(start: real, count: strlen(real)).map(UInt8.init(bitPattern:))
            guard let name = bytes.split(separator: UInt8(ascii: "/")).last else { throw .root(path) }
            last = Array(name)
        }
        do { return try EntryName(last) } catch { throw .name(path, error) }
    }

    private mutating func add(_ top: SourceTop) throws(SourceFault) {
        guard !isExcluded(top.name.text, below: [], isFolder: false) else { return }
        let path = top.path.text
        let status: stat
        let file: OpenFile
        do throws(SystemError) {
            file = try top.open(flags: Self.flags)
            status = try file.status()
        } catch {
            throw .unreadable(path, error)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: try addFile(top.name, at: top.path, status) { () throws(SystemError) in file }
        case S_IFDIR:
            guard !isExcluded(top.name.text, below: [], isFolder: true) else { return }
            try addFolder(top.name, at: top.path, status, top: top)
            try walk(below: top.name.text)
        default: throw .special(path)
        }
        catalogue.tops.append(top)
    }

    /// Without O_NONBLOCK, opening a named pipe would wait for a process that writes to it.
    static let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY

    // MARK: - What is in folders

    private mutating func walk(below top: String) throws(SourceFault) {
        while let depth = listings.indices.last {
            guard let name = listings[depth].next() else {
                listings.removeLast()
                way.leave()
                continue
            }
            try add(name, below: top)
        }
    }

    private mutating func add(_ path: PathName, below top: String) throws(SourceFault) {
        let ways = excluded.isEmpty ? [] : [top] + way.innerNames.map(\.text)
        guard !isExcluded(path.text, below: ways, isFolder: false) else { return }
        let folder: OpenFile?
        do throws(SystemError) { folder = try way.folder() } catch { throw .absent(way.path(of: nil), error) }
        let status: stat
        do throws(SystemError) {
            status = try OpenFile.status(of: path, in: folder, followsLinks: false)
        } catch {
            if isGone(error) { return }
            throw unreadable(way.path(of: path), error)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            try addFile(try name(path), at: path, status) { () throws(SystemError) in
                try OpenFile(path, in: folder, flags: Self.flags | O_NOFOLLOW)
            }
        case S_IFDIR:
            guard !isExcluded(path.text, below: ways, isFolder: true) else { return }
            try addFolder(try name(path), at: path, status)
        case S_IFLNK where options.keepsMetadata: try addLink(path, in: folder, status)
        case let type: omissions.add(way.path(of: path), type)
        }
    }

    private func name(_ path: PathName) throws(SourceFault) -> EntryName {
        do { return try EntryName(path.bytes) } catch { throw .name(way.path(of: path), error) }
    }

    // MARK: - Entries

    private mutating func addFile(
        _ name: EntryName, at path: PathName, _ status: stat, open: () throws(SystemError) -> OpenFile
    ) throws(SourceFault) {
        var status = status
        var size: UInt64? = UInt64(max(0, status.st_size))
        let isWhole = Self.room(status) >= size ?? 0
        // The owner of a file whose mode says so can read it; anyone else has to try.
        let isReadable = status.st_uid == geteuid() && status.st_mode & S_IRUSR != 0
        if size == 0 || !isWhole || !isReadable {
            do throws(SystemError) {
                let file = try open()
                status = try file.status()
                size = try Self.size(of: file, status)
                if let size, size > 0, !isWhole, Self.firstHole(file) < size {
                    // Blocks behind its end count among its own: there is one byte of holes at the least.
                    let holes = size - min(size - 1, Self.room(status))
                    let (sum, overflow) = catalogue.holes.addingReportingOverflow(holes)
                    catalogue.holes = overflow ? .max : sum
                }
            } catch {
                if isGone(error) { return }
                throw unreadable(way.path(of: path), error)
            }
            guard status.st_mode & S_IFMT == S_IFREG else { throw .changed(way.path(of: path)) }
        }
        try append(.file(size: size), name, status, SourceVersion(status))
    }

    /// Files of /proc and the like say that they are empty and are not: nothing is known about their size.
    private static func size(of file: OpenFile, _ status: stat) throws(SystemError) -> UInt64? {
        guard status.st_size == 0 else { return UInt64(max(0, status.st_size)) }
        var probe: UInt8 = 0
        return try SystemError.check { unsafe pread(file.descriptor, &probe, 1, 0) } > 0 ? nil : 0
    }

    /// How much of the disk it takes.
    private static func room(_ status: stat) -> UInt64 {
        let (bytes, overflow) = UInt64(max(0, status.st_blocks)).multipliedReportingOverflow(by: 512)
        return overflow ? .max : bytes
    }

    /// Where the first hole begins; far behind the end where the file system does not say.
    private static func firstHole(_ file: OpenFile) -> UInt64 {
        UInt64(exactly: lseek(file.descriptor, 0, Int32(CLinux_seek_hole))) ?? .max
    }

    private mutating func addFolder(
        _ name: EntryName, at path: PathName, _ status: stat, top: SourceTop? = nil
    ) throws(SourceFault) {
        let number = UInt32(clamping: catalogue.manifest.entries)
        try append(.folder, name, status, SourceVersion(folder: status))
        if let top { way.enter(top, number: number) } else { way.enter(path, number: number) }
        do throws(SystemError) {
            guard let folder = try way.folder() else { return }
            listings.append(try FolderListing(of: folder))
        } catch {
            guard isGone(error) else { throw unreadable(way.path(of: nil), error) }
            way.leave()
        }
    }

    private func unreadable(_ path: String, _ failure: SystemError) -> SourceFault {
        way.number == nil ? .unreadable(path, failure) : .unreadableEntry(path, failure)
    }

    /// What was removed since its folder was listed is not there to be sent.
    private func isGone(_ failure: SystemError) -> Bool { failure.code == ENOENT && way.number != nil }

    private mutating func addLink(_ path: PathName, in folder: OpenFile?, _ status: stat) throws(SourceFault) {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        do throws(SystemError) {
            let base = folder?.descriptor ?? AT_FDCWD
            let count = try SystemError.check {
                unsafe readlinkat(base, path.terminated, &target, target.count)
            }
            target.removeLast(target.count - count)
        } catch {
            throw unreadable(way.path(of: path), error)
        }
        try append(.link(target: target.map(UInt8.init(bitPattern:))), try name(path), status, SourceVersion(status))
    }

    private mutating func append(
        _ kind: ManifestEntry.Kind, _ name: EntryName, _ status: stat, _ version: SourceVersion
    ) throws(SourceFault) {
        let nanoseconds = UInt32(clamping: status.st_mtim.tv_nsec)
        let entry = ManifestEntry(
            kind, name: name, parent: way.number, seconds: Int64(status.st_mtim.tv_sec),
            nanoseconds: min(nanoseconds, 999_999_999),
            mode: options.keepsMetadata ? UInt16(status.st_mode & 0o777) : nil
        )
        do throws(SealingError) { try catalogue.manifest.append(entry) } catch {
            switch error {
            case .manifest(.depth): throw .tooDeep(way.path(of: PathName(name.bytes)))
            case .manifest(.counts), .manifest(.tooMany): throw .tooMuch
            default: throw .list(error)
            }
        }
        catalogue.versions.append(version)
        SourceVersion.eachWord(of: status) { words.append($0) }
        if words.count >= Defaults.scanWords { flushWords() }
    }

    private mutating func flushWords() {
        unsafe words.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        words.removeAll(keepingCapacity: true)
    }

    // MARK: - What is left out

    /// - Parameter isFolder: patterns of folders only are about it, and the others have been asked.
    private func isExcluded(_ name: String, below way: [String], isFolder: Bool) -> Bool {
        excluded.contains { $0.isOfFolders == isFolder && $0.matches(way + [name]) }
    }
}
