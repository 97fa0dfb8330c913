// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing

/// Makes all that a manifest names, without content, where a file system may refuse a name or take two for the same:
/// that is found out before content flows.
enum NamesInAdvance {
    /// - Parameter length: the bytes of the manifest.
    static func make(
        _ part: PartFolder, length: UInt64, wanted: [WantedRun]?, _ options: TreeOptions
    ) throws(TreeFault) {
        var walk = TreeWalk(part, length: length, top: part.content)
        var wanted = WantedFiles(wanted)
        let metadata = EntryMetadata(part: part, options: options)
        while let (entry, number) = try walk.next() {
            var made: OpenFile?
            do throws(SystemError) {
                guard let folder = walk.folder else { throw SystemError(code: ENOENT) }
                let name = part.name(of: entry)
                switch entry.kind {
                case .folder: made = try PartFolder.makeFolder(name, in: folder, mayExist: false)
                case .file: if wanted.next() { _ = try PartFolder.openFile(name, in: folder, O_CREAT | O_EXCL) }
                case .link(let target):
                    if metadata.keepsAll { try metadata.makeLink(entry, to: target, in: folder, mayExist: false) }
                }
                if NameRefusal.refusedEnding(name, takes: part.folder.takes) != nil { throw SystemError(code: EINVAL) }
            } catch {
                throw .making(error, walk.path(of: entry))
            }
            if let made { try walk.enter(entry, number, made) }
        }
    }
}
