// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import PrivateFiles
import Synchronization

/// One folder, held open: every file is made relative to this handle, so that whatever happens to its path meanwhile,
/// nothing lands elsewhere; and where it is can be told at any time.
final class ReceiveFolder: Sendable {
    let handle: OpenFile
    /// The longest name in bytes that its file system takes.
    let maximumNameLength: Int

    private let identity: OpenFile.Identity
    /// Where it was when it was opened: absolute, without links.
    private let firstPath: String

    /// Opens the folder at `path`, following links, because the person named it.
    convenience init(_ path: String) throws(SystemError) {
        let handle = try OpenFile(path, flags: Self.flags)
        try self.init(handle, path: Self.absolute(path))
    }

    /// Opens the folder at `path`, which is absolute and in which no link is followed: it was found without any, and
    /// a link that is put there later must not decide where files go.
    convenience init(withoutLinks path: String) throws(SystemError) {
        var folder = try OpenFile("/", flags: Self.walking)
        let components = path.split(separator: "/")
        for (index, component) in components.enumerated() {
            let flags = index == components.count - 1 ? Self.flags : Self.walking
            do throws(SystemError) {
                folder = try OpenFile(String(component), in: folder, flags: flags | O_NOFOLLOW)
            } catch {
                // "Not a folder" is said of a link, too.
                let status = OpenFile.status(of: String(component), in: folder)
                let isLink = status.map { status in status.st_mode & S_IFMT == S_IFLNK } ?? false
                throw isLink ? SystemError(code: ELOOP) : error
            }
        }
        if components.isEmpty { folder = try OpenFile("/", flags: Self.flags) }
        try self.init(folder, path: path)
    }

    /// Also finds out whether files may be made there.
    private init(_ handle: OpenFile, path: String) throws(SystemError) {
        try SystemError.check { unsafe faccessat(handle.descriptor, ".", W_OK | X_OK, AT_EACCESS) }
        self.handle = handle
        identity = try handle.identity()
        firstPath = path
        let limit = fpathconf(handle.descriptor, Int32(_PC_NAME_MAX))
        maximumNameLength = limit > 0 ? min(limit, Defaults.maximumFileName) : Defaults.maximumFileName
    }

    private static let flags = O_RDONLY | O_DIRECTORY
    private static let walking = Int32(CLinux_path_only) | O_DIRECTORY

    /// Whether `path`, itself and not what it leads to, is this folder now.
    func isAt(_ path: String) -> Bool {
        OpenFile.status(of: path).map(OpenFile.Identity.init) == identity
    }

    /// Where it is now; nil when it was removed, or cannot be reached by any path.
    func currentPath() -> String? {
        if isAt(firstPath) { return firstPath }
        // The kernel knows where it went. Of a folder that was removed it says "… (deleted)", which names nothing. One
        // that is moved between the two looks is looked for again.
        for _ in 0..<3 {
            if let moved = handle.path(), isAt(moved) { return moved }
        }
        return nil
    }

    /// Where it is now, or what the kernel says of a folder that is nowhere: for messages, which must not name another
    /// folder that has taken its place.
    var path: String { currentPath() ?? handle.path() ?? firstPath }

    /// The full path of the file `name` in it.
    func path(of name: String) -> String {
        let path = path
        return path.hasSuffix("/") ? path + name : path + "/" + name
    }

    /// Whether a file can be made here whose hidden, unguessable name ends with `end`. It is gone at once.
    func takes(nameEndingWith end: String) -> Bool {
        let name = ".relay." + SafeFileName.randomTag() + end
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        guard (try? OpenFile(name, in: handle, flags: flags, mode: 0o600)) != nil else { return false }
        unsafe unlinkat(handle.descriptor, name, 0)
        return true
    }

    /// The bytes this user can still write here; nil where the file system does not say.
    func freeSpace() -> UInt64? {
        var space = statvfs()
        guard (try? SystemError.check { unsafe fstatvfs(handle.descriptor, &space) }) != nil, space.f_blocks > 0 else {
            return nil
        }
        let (bytes, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(by: UInt64(space.f_frsize))
        return overflow ? nil : bytes
    }

    private static func absolute(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}

/// Tells the person what is not right about a folder although nothing has failed. What is true of every file there is
/// said once, not with each of them.
final class Remarks: Sendable {
    /// What is said once.
    enum Kind: Hashable, Sendable {
        case permissions
        case durability
        case times
    }

    private let tell: @Sendable (String) -> Void
    private let said = Mutex<Set<Kind>>([])

    /// `tell` gets a message; names in it are escaped already.
    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    /// Reports `message`, unless one of its kind was reported before.
    func say(_ message: String, once kind: Kind? = nil) {
        if let kind, !said.withLock({ said in said.insert(kind).inserted }) { return }
        tell(message)
    }

    /// Another folder is used from now on, of which other things may be true.
    func reset() { said.withLock { said in said.removeAll() } }
}
