// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
import TransferClient
import WSProtocol

/// The hidden folder that holds the parts of one transfer until they have their final names: the journal, the manifest,
/// and the tree as it comes. It is private to its user, and locked while it is open.
final class PartFolder: Sendable {
    /// The folder that is received into.
    let folder: ReceiveFolder
    let name: String
    private let locked: LockedFolder
    /// The folder in it that the tree is in.
    let content: OpenFile
    let journal: OpenFile
    let manifest: OpenFile

    static let contentName = "content"
    private static let journalName = "journal"
    private static let manifestName = "manifest"
    private static let prefix = ".relay-"
    private static let suffix = ".part"

    private init(_ name: String, in folder: ReceiveFolder, _ locked: LockedFolder) throws(SystemError) {
        let handle = locked.handle
        self.name = name
        self.folder = folder
        self.locked = locked
        journal = try OpenFile(
            Self.journalName, in: handle, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600
        )
        manifest = try OpenFile(
            Self.manifestName, in: handle, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600
        )
        do throws(SystemError) {
            try SystemError.check { unsafe mkdirat(handle.descriptor, Self.contentName, PrivateFolder.mode) }
        } catch  where error.code == EEXIST {}
        content = try OpenFile(Self.contentName, in: handle, flags: Self.flags)
    }

    var handle: OpenFile { locked.handle }

    private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

    /// What it is called for a transfer; `number` above zero where others of the name belong to someone else.
    static func name(of transfer: CarriedTransfer, number: Int = 0) -> String {
        let digits = transfer.bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        return prefix + digits + (number == 0 ? "" : "-\(number)") + suffix
    }

    /// Opens the folder `name` and locks it, and makes it where there is none. Nil when it is in use, or not this
    /// user's.
    static func open(_ name: String, in folder: ReceiveFolder) throws(SystemError) -> PartFolder? {
        // One that is removed between two steps is looked for once more.
        for _ in 0..<Defaults.partFolderTries {
            let isNew = unsafe mkdirat(folder.handle.descriptor, name, PrivateFolder.mode) == 0
            if !isNew, SystemError.last.code != EEXIST { throw SystemError.last }
            do throws(SystemError) {
                guard let locked = try lock(name, in: folder) else { return nil }
                guard isStill(locked.handle, name, in: folder) else { continue }
                return try PartFolder(name, in: folder, locked)
            } catch {
                if isNew { remove(name, in: folder) }
                if error.code != ENOENT { throw error }
            }
        }
        throw SystemError(code: EBUSY)
    }

    /// Opens the journal of the folder `name`, for a look; nil when there is none, or not this user's.
    static func journal(of name: String, in folder: ReceiveFolder) -> OpenFile? {
        guard let handle = try? OpenFile(name, in: folder.handle, flags: flags), isOwn(handle, in: folder) else {
            return nil
        }
        return try? OpenFile(journalName, in: handle, flags: O_RDONLY | O_NOFOLLOW)
    }

    /// Whether the folder `name` is open somewhere, or not this user's.
    static func isInUse(_ name: String, in folder: ReceiveFolder) -> Bool {
        (try? lock(name, in: folder, as: LOCK_SH)) == nil
    }

    /// The bytes of the only file in the tree of the folder `name`, for a look; nil when there is none, or not this
    /// user's.
    static func lengthOfOnlyFile(of name: String, in folder: ReceiveFolder) -> UInt64? {
        guard let handle = try? OpenFile(name, in: folder.handle, flags: flags), isOwn(handle, in: folder),
            let content = try? OpenFile(contentName, in: handle, flags: flags),
            let names = try? FolderContents.names(in: content, limit: 2), names.count == 1, let raw = names.first
        else { return nil }
        let only = String(decoding: raw.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let status = OpenFile.status(of: only, in: content), status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return UInt64(max(0, status.st_size))
    }

    /// The names of all such folders in `folder`.
    static func names(in folder: ReceiveFolder) -> [String] {
        let names = (try? FolderContents.names(in: folder.handle)) ?? []
        return names.compactMap { raw in
            let name = String(decoding: raw.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            return isName(name) ? name : nil
        }
    }

    /// Whether ``name(of:number:)`` can have made it.
    private static func isName(_ name: String) -> Bool {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return false }
        let middle = name.dropFirst(prefix.count).dropLast(suffix.count)
        let digits = middle.prefix { digit in digit.isHexDigit && !digit.isUppercase }
        let rest = middle.dropFirst(digits.count)
        return digits.count == 2 * CarriedTransferKind.length && (rest.isEmpty || rest.first == "-")
    }

    /// When something in it was written last; nil where it is not there, or not this user's.
    static func change(of name: String, in folder: ReceiveFolder) -> FileTime? {
        if let journal = journal(of: name, in: folder) { return (try? journal.status()).map(FileTime.init(modified:)) }
        guard let handle = try? OpenFile(name, in: folder.handle, flags: flags), isOwn(handle, in: folder) else {
            return nil
        }
        return (try? handle.status()).map(FileTime.init(modified:))
    }

    /// Removes the folder `name` with all that is in it; false when it is in use, not this user's, or cannot be
    /// removed.
    @discardableResult
    static func remove(_ name: String, in folder: ReceiveFolder) -> Bool {
        guard let locked = try? lock(name, in: folder) else { return false }
        return withExtendedLifetime(locked) {
            isStill(locked.handle, name, in: folder) && remove(locked.handle, name, in: folder)
        }
    }

    /// Removes it with all that is in it.
    func remove() {
        // What is open stays under another name where the file system is one of a network, or in user space.
        journal.letGo()
        manifest.letGo()
        _ = Self.remove(handle, name, in: folder)
    }

    /// Whether its name still means it.
    var isThere: Bool { Self.isStill(handle, name, in: folder) }

    /// Where it is, or what is called `name` in it.
    func path(of name: String? = nil) -> String {
        let path = folder.path(of: self.name)
        return name.map { name in path + "/" + name } ?? path
    }

    // MARK: - In the tree

    /// What an entry is called in the tree: as the sender calls it, unless that is too long at the top.
    func name(of entry: ManifestEntry) -> String {
        entry.parent == nil ? fitting(entry.name.text, isFolder: entry.kind == .folder) : entry.name.text
    }

    /// `name` as far as the file system takes names of that length.
    func fitting(_ name: String, isFolder: Bool = false) -> String {
        guard name.utf8.count > folder.maximumNameLength else { return name }
        return SafeFileName(offered: name, maximumLength: folder.maximumNameLength, isFolder: isFolder).text
    }

    /// Opens the folder `name`, which may have permissions already that keep its owner out.
    static func enter(_ name: String, in folder: OpenFile) throws(SystemError) -> OpenFile {
        do throws(SystemError) {
            return try OpenFile(name, in: folder, flags: flags)
        } catch  where error.code == EACCES {
            guard unsafe fchmodat(folder.descriptor, name, PrivateFolder.mode, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw error
            }
            return try OpenFile(name, in: folder, flags: flags)
        }
    }

    /// Makes the folder `name`, with the permissions that any program's new folder has.
    static func makeFolder(_ name: String, in folder: OpenFile, mayExist: Bool) throws(SystemError) -> OpenFile {
        do throws(SystemError) {
            try SystemError.check { unsafe mkdirat(folder.descriptor, name, 0o777) }
        } catch  where error.code == EEXIST && mayExist {}
        return try enter(name, in: folder)
    }

    /// Opens the file `name` for writing, which may have permissions already that do not allow it. `making` says
    /// whether it is made, then with the permissions that any program's new file has.
    static func openFile(_ name: String, in folder: OpenFile, _ making: Int32 = 0) throws(SystemError) -> OpenFile {
        let flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | making
        do throws(SystemError) {
            return try OpenFile(name, in: folder, flags: flags, mode: 0o666)
        } catch  where error.code == EACCES {
            guard unsafe fchmodat(folder.descriptor, name, 0o600, AT_SYMLINK_NOFOLLOW) == 0 else { throw error }
            return try OpenFile(name, in: folder, flags: flags, mode: 0o666)
        }
    }

    /// The content of a block that is here.
    func content(of block: BlockSampler.Block) throws(SystemError) -> [UInt8] {
        var names = block.names
        let last = names.popLast() ?? ""
        var folder = content
        for (depth, name) in names.enumerated() {
            folder = try Self.enter(depth == 0 ? fitting(name, isFolder: true) : name, in: folder)
        }
        let name = names.isEmpty ? fitting(last) : last
        let file = try OpenFile(name, in: folder, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        var buffer = ByteBuffer()
        let length = SourceSample.blockLength
        let start = block.block * UInt64(length)
        while buffer.readableBytes < length {
            let rest = length - buffer.readableBytes
            guard try file.read(into: &buffer, atMost: rest, at: start + UInt64(buffer.readableBytes)) > 0 else {
                break
            }
        }
        return Array(buffer.readableBytesView)
    }

    // MARK: - Locked and removed

    private static func remove(_ handle: OpenFile, _ name: String, in folder: ReceiveFolder) -> Bool {
        // The journal goes last: what is left of a removal that is interrupted is still known for what it was.
        if let content = try? OpenFile(contentName, in: handle, flags: flags) { FolderContents.remove(in: content) }
        unsafe unlinkat(handle.descriptor, contentName, AT_REMOVEDIR)
        unsafe unlinkat(handle.descriptor, manifestName, 0)
        FolderContents.remove(in: handle)
        guard isStill(handle, name, in: folder) else { return false }
        return unsafe unlinkat(folder.handle.descriptor, name, AT_REMOVEDIR) == 0
    }

    /// Opens the folder `name` and locks it. Nil when it is in use, or not this user's.
    ///
    /// - Parameter kind: LOCK_SH for a look, of which there may be several at a time.
    static func lock(
        _ name: String, in folder: ReceiveFolder, as kind: CInt = LOCK_EX
    ) throws(SystemError) -> LockedFolder? {
        let handle: OpenFile
        do throws(SystemError) {
            handle = try OpenFile(name, in: folder.handle, flags: flags)
        } catch  where error.code == ENOTDIR || error.code == ELOOP {
            return nil
        }
        guard isOwn(handle, in: folder) else { return nil }
        do throws(SystemError) {
            try SystemError.check { flock(handle.descriptor, kind | LOCK_NB) }
        } catch  where error.code == EWOULDBLOCK {
            return nil
        } catch {
            // Not every file system has locks; there, users see to it that they receive once.
        }
        return LockedFolder(handle: handle)
    }

    /// Whether it was put there by this user, or by one who could replace anything there.
    private static func isOwn(_ handle: OpenFile, in folder: ReceiveFolder) -> Bool {
        guard let owner = try? handle.status().st_uid else { return false }
        return owner == geteuid() || owner == 0 || owner == (try? folder.handle.status().st_uid)
    }

    private static func isStill(_ handle: OpenFile, _ name: String, in folder: ReceiveFolder) -> Bool {
        OpenFile.status(of: name, in: folder.handle).map(OpenFile.Identity.init) == (try? handle.identity())
    }
}

/// A folder that is locked for as long as this is there.
final class LockedFolder: Sendable {
    let handle: OpenFile

    fileprivate init(handle: OpenFile) { self.handle = handle }

    /// A program that is being started has the folder open, too, until it is executed: closing it here would not unlock
    /// it, and who opens it next would take it for one that is in use.
    deinit { _ = flock(handle.descriptor, LOCK_UN) }
}
