// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing

/// The folders from the top of a tree down to the one that entries of its manifest come into now. Each is opened in the
/// one above it, and no more than ``Defaults/openFolders`` are held open, however deep the tree is.
struct TreeWay {
    /// One of the folders.
    struct Level {
        /// Its number among the entries; nil at the top.
        let number: UInt32?
        /// What the manifest says of it; nil at the top.
        let entry: ManifestEntry?
        fileprivate var handle: Handle
    }

    fileprivate enum Handle {
        case open(OpenFile)
        /// Too far above to be held open.
        case closed(OpenFile.Identity)
        /// There is no such folder.
        case missing
    }

    private var levels: [Level]

    init(_ top: OpenFile) { levels = [Level(number: nil, entry: nil, handle: .open(top))] }

    /// The number of the folder that entries come into now.
    var number: UInt32? { levels[levels.count - 1].number }

    /// How many folders there are above it.
    var depth: Int { levels.count - 1 }

    /// The folder that entries come into now; nil when it is missing.
    var current: OpenFile? {
        if case .open(let folder) = levels[levels.count - 1].handle { folder } else { nil }
    }

    /// The path of `name` in it, from the top of the tree.
    func path(of name: EntryName) -> String {
        (levels.compactMap(\.entry?.name.text) + [name.text]).joined(separator: "/")
    }

    /// The names on the way to `name` in it.
    func names(to name: EntryName) -> [String] { levels.compactMap(\.entry?.name.text) + [name.text] }

    /// Goes into a folder; nil when it is missing.
    mutating func enter(_ number: UInt32, _ entry: ManifestEntry, _ folder: OpenFile?) throws(SystemError) {
        if folder != nil {
            let far = levels.count - Defaults.openFolders
            if far > 0, case .open(let open) = levels[far].handle { levels[far].handle = .closed(try open.identity()) }
        }
        levels.append(Level(number: number, entry: entry, handle: folder.map(Handle.open) ?? .missing))
    }

    /// Goes up one level; returns the folder that was left, which is nil where it was missing or is the top.
    mutating func leave() throws(SystemError) -> (entry: ManifestEntry, folder: OpenFile)? {
        guard levels.count > 1, let left = levels.popLast(), let entry = left.entry else { return nil }
        guard case .open(let folder) = left.handle else { return nil }
        if case .closed(let identity) = levels[levels.count - 1].handle {
            let above = try OpenFile("..", in: folder, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            // One that was moved meanwhile is somewhere else.
            guard try above.identity() == identity else { throw SystemError(code: ESTALE) }
            levels[levels.count - 1].handle = .open(above)
        }
        return (entry, folder)
    }
}
