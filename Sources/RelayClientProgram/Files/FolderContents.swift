// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// What is in a folder, whatever it is called: names are bytes here, as the system has them.
enum FolderContents {
    /// A name as the system gives and takes it, with the zero byte at its end.
    typealias RawName = [CChar]

    /// The names in `folder`, as many as fit into `limit`.
    static func names(in folder: OpenFile, limit: Int = .max) throws(SystemError) -> [RawName] {
        // A handle of its own, because reading moves it on.
        let own = try SystemError.check { unsafe openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard let stream = unsafe fdopendir(own) else {
            let error = SystemError.last
            close(own)
            throw error
        }
        defer { unsafe closedir(stream) }
        var names: [RawName] = []
        while names.count < limit, let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe Array(bytes.prefix { $0 != 0 }.map(CChar.init(bitPattern:)) + [0])
            }
            if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
        }
        return names
    }

    private static let dot = CChar(bitPattern: UInt8(ascii: "."))
    /// What FUSE calls a file that was removed while it is open. To remove that one only gives it another such name.
    private static let hidden = ".fuse_hidden".utf8.map(CChar.init(bitPattern:))

    /// Removes everything in `folder`, which is private to this user; follows no link. What cannot be removed stays.
    /// However deep the tree is, two folders are open at most: those further below are moved up first.
    static func remove(in folder: OpenFile) {
        var number = 0
        while let names = try? names(in: folder, limit: Defaults.removedAtOnce), !names.isEmpty {
            var isStuck = true
            for name in names where remove(name, in: folder, &number) { isStuck = false }
            if isStuck { return }
        }
    }

    /// Removes one entry of `top`, or at least makes it less; false when nothing could be done.
    private static func remove(_ name: RawName, in top: OpenFile, _ number: inout Int) -> Bool {
        if unsafe unlinkat(top.descriptor, name, 0) == 0 { return !name.starts(with: hidden) }
        if unsafe unlinkat(top.descriptor, name, AT_REMOVEDIR) == 0 { return true }
        unsafe fchmodat(top.descriptor, name, 0o700, AT_SYMLINK_NOFOLLOW)
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        guard let descriptor = try? SystemError.check({ unsafe openat(top.descriptor, name, flags) }) else {
            return false
        }
        let folder = OpenFile(descriptor: descriptor)
        var hasChanged = false
        for inner in (try? names(in: folder, limit: Defaults.removedAtOnce)) ?? [] {
            if unsafe unlinkat(descriptor, inner, 0) == 0 {
                if !inner.starts(with: hidden) { hasChanged = true }
                continue
            }
            if unsafe unlinkat(descriptor, inner, AT_REMOVEDIR) == 0 {
                hasChanged = true
                continue
            }
            unsafe fchmodat(descriptor, inner, 0o700, AT_SYMLINK_NOFOLLOW)
            number += 1
            // Replaces nothing, which AtomicFile would be for: the path becomes shorter, and can be removed.
            let above = ".removed-\(SafeFileName.randomTag())-\(number)"
            if unsafe renameat(descriptor, inner, top.descriptor, above) == 0 { hasChanged = true }
        }
        return unsafe unlinkat(top.descriptor, name, AT_REMOVEDIR) == 0 || hasChanged
    }
}
