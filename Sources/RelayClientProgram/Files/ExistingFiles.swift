// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing

/// Finds out which files of a manifest are at their final place already, with the size and the time that they should
/// have; or beside it, under the numbered name that one got which had changed when it came.
struct ExistingFiles {
    /// The files that are not at their place.
    private(set) var wanted: [WantedRun] = []
    /// The bytes of these.
    private(set) var bytes: UInt64 = 0

    /// - Parameter length: the bytes of the manifest.
    init(_ part: PartFolder, length: UInt64) throws(TreeFault) {
        var walk = TreeWalk(part, length: length, top: part.folder.handle)
        var writer = WantedFilesWriter()
        while let (entry, number) = try walk.next() {
            let isTop = entry.parent == nil
            let name = isTop ? part.folder.safeName(of: entry).text : entry.name.text
            switch entry.kind {
            case .folder:
                let folder = walk.folder.flatMap { folder in
                    try? OpenFile(name, in: folder, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                }
                try walk.enter(entry, number, folder)
            case .link: break
            case .file(let size):
                let safe = part.folder.safeName(of: entry)
                let isThere = walk.folder.map { folder in Self.isThere(name, safe, entry, size, in: folder) } ?? false
                if !isThere { bytes = bytes.addingReportingOverflow(size ?? 0).partialValue }
                if let note = writer.append(isWanted: !isThere) { wanted += note.runs }
            }
        }
        wanted += writer.finish().runs
    }

    private static func isThere(
        _ name: String, _ safe: SafeFileName, _ entry: ManifestEntry, _ size: UInt64?, in folder: OpenFile
    ) -> Bool {
        guard let size else { return false }
        for number in 0...Defaults.maximumNumberedNames {
            let name = number == 0 ? name : safe.numbered(number)
            // The numbers follow one another: what was changed once more got the next one.
            guard let status = OpenFile.status(of: name, in: folder) else { return false }
            if isSame(entry, size, status) { return true }
        }
        return false
    }

    private static func isSame(_ entry: ManifestEntry, _ size: UInt64, _ status: stat) -> Bool {
        guard status.st_mode & S_IFMT == S_IFREG, UInt64(clamping: status.st_size) == size else { return false }
        let time = FileTime(modified: status)
        // Some file systems keep seconds only.
        return time == entry.time || time == FileTime(seconds: entry.time.seconds, nanoseconds: 0)
    }
}

extension ReceiveFolder {
    /// The name that an entry of the top gets here, where it is free.
    func safeName(of entry: ManifestEntry) -> SafeFileName {
        SafeFileName(
            offered: entry.name.text, maximumLength: maximumNameLength, isFolder: entry.kind == .folder
        )
    }
}
