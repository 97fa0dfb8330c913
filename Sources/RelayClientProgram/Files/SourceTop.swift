// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import PrivateFiles
import Sealing

/// One of the files and folders that are sent, at the top of the manifest.
struct SourceTop: Hashable, Sendable {
    /// As it was named, for the system where the person named it, and for messages.
    let path: PathName
    /// What it is called: its last component.
    let name: EntryName
    /// How it is found where another person named it; nil where this one did, and may have named a link.
    var way: LinklessWay?

    /// Opens it.
    func open(flags: Int32) throws(SystemError) -> OpenFile {
        guard let way else { return try OpenFile(path, in: nil, flags: flags) }
        return try way.open(flags: flags)
    }

    /// What the system knows about it.
    func status() throws(SystemError) -> stat {
        guard let way else { return try OpenFile.status(of: path, in: nil, followsLinks: true) }
        return try way.status()
    }
}

/// The names that lead to something from the root of all folders, none of which is a link. It is walked name by name,
/// each within the folder that was opened before: whatever is moved, or replaced by a link, meanwhile, what is found is
/// at the end of these names, or nothing is.
struct LinklessWay: Hashable, Sendable {
    let names: [PathName]

    init(_ names: [PathName]) { self.names = names }

    /// The way to where `path` leads now, with the links in it followed once and for all. Throws when there is nothing.
    init(following path: String) throws(SystemError) {
        guard let real = unsafe realpath(path, nil) else { throw .last }
        defer { unsafe free(real) }
        let bytes = unsafe UnsafeBufferPointer(start: real, count: strlen(real)).map(UInt8.init(bitPattern:))
        self.init(bytes.split(separator: UInt8(ascii: "/")).map { PathName($0) })
    }

    /// The way to what is below.
    func appending(_ inner: some Sequence<EntryName>) -> LinklessWay { LinklessWay(names + inner.map { PathName($0) }) }

    /// Opens what is at its end; fails with ELOOP where that is a link.
    func open(flags: Int32) throws(SystemError) -> OpenFile {
        guard let last = names.last else { return try OpenFile(Self.root, in: nil, flags: flags) }
        return try OpenFile(last, in: try folder(), flags: flags | O_NOFOLLOW)
    }

    /// What the system knows about what is at its end, which may be a link.
    func status() throws(SystemError) -> stat {
        try OpenFile.status(of: names.last ?? Self.root, in: names.isEmpty ? nil : try folder(), followsLinks: false)
    }

    /// The folder that its last name is in.
    private func folder() throws(SystemError) -> OpenFile {
        // To be walked through, a folder need not be readable.
        let flags = Int32(CLinux_path_only) | O_DIRECTORY
        var folder = try OpenFile(Self.root, in: nil, flags: flags)
        for name in names.dropLast() { folder = try OpenFile(name, in: folder, flags: flags | O_NOFOLLOW) }
        return folder
    }

    private static let root = PathName("/")
}

extension PathName {
    init(_ name: EntryName) { self.init(name.bytes) }
}
