// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// The folders from what the person named to where a walk is. However many they are, few of them are open at once; one
/// that was closed is opened again by its name, step by step, so that no link is followed on the way.
struct FolderWay {
    private struct Level {
        /// Which entry of the manifest it is.
        let number: UInt32
        /// Of the outermost one, the path.
        let name: PathName
        /// The outermost one.
        var top: SourceTop?
        var handle: OpenFile?
    }

    private var levels: [Level] = []

    /// Which entry of the manifest the innermost one is; nil at the top.
    var number: UInt32? { levels.last?.number }

    /// Goes into the outermost folder.
    mutating func enter(_ top: SourceTop, number: UInt32) {
        levels.append(Level(number: number, name: top.path, top: top))
    }

    /// Goes into the folder of that name in the innermost one.
    mutating func enter(_ name: PathName, number: UInt32) { levels.append(Level(number: number, name: name)) }

    /// Leaves all that are within the folder with this number, or all.
    mutating func leave(to parent: UInt32?) {
        while let last = levels.last, last.number != parent { levels.removeLast() }
    }

    /// Leaves the innermost one.
    mutating func leave() { _ = levels.popLast() }

    /// The innermost one, open; nil at the top.
    mutating func folder() throws(SystemError) -> OpenFile? {
        guard let last = levels.indices.last else { return nil }
        if let handle = levels[last].handle { return handle }
        let open = levels.lastIndex { $0.handle != nil }
        var handle = open.flatMap { levels[$0].handle }
        for index in (open.map { $0 + 1 } ?? 0)...last {
            // Only what the person named may be a link.
            let flags = O_RDONLY | O_DIRECTORY
            handle =
                if let top = levels[index].top {
                    try top.open(flags: flags)
                } else {
                    try OpenFile(levels[index].name, in: handle, flags: flags | O_NOFOLLOW)
                }
            levels[index].handle = handle
            if index >= Defaults.openFolders { levels[index - Defaults.openFolders].handle = nil }
        }
        return handle
    }

    /// The path of `name` in the innermost one, or of that one itself.
    func path(of name: PathName?) -> String {
        let names = levels.map(\.name.text) + (name.map { [$0.text] } ?? [])
        return names.dropFirst().reduce(names.first ?? "") { path, name in
            path.hasSuffix("/") ? path + name : path + "/" + name
        }
    }

    /// The names of all but the outermost one.
    var innerNames: [PathName] { levels.dropFirst().map(\.name) }
}
