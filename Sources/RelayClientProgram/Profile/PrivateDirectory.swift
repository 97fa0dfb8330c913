// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import TransferClient

/// A folder that belongs to one user alone (0700), with small files in it that no other user may read (0600).
struct PrivateDirectory {
    private let path: String
    private let directory: OpenFile
    /// What had to be put right when it was opened or read, in words.
    private(set) var warnings: [String] = []

    /// Opens the folder at `path`; with `creating`, makes it and whatever is missing above it. Nil when it is missing
    /// and not to be made. Throws when it belongs to another user.
    init?(path: String, creating: Bool) throws(FileError) {
        self.path = path
        do {
            if creating { try PrivateFolder.make(path) }
            directory = try OpenFile(path, flags: O_RDONLY | O_DIRECTORY)
            if try Self.restrict(directory, to: PrivateFolder.mode, path) { warnings.append(Self.warning(path)) }
        } catch let error as FileError {
            throw error
        } catch {
            let failure = SystemError(of: error)
            if failure.code == ENOENT, !creating { return nil }
            throw FileError(
                code: creating ? .cannotCreate : .unusableProfile,
                message: "cannot open the profile's folder \"\(DisplayName.escape(path))\": \(failure.phrase)"
            )
        }
    }

    /// Runs `body` on the folder at `path`, which is made where it is missing, while no other process does the same.
    static func locked<Value>(
        _ path: String, _ body: (inout PrivateDirectory) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        guard var folder = try PrivateDirectory(path: path, creating: true) else {
            throw FileError(code: .cannotCreate, message: "cannot make \"\(DisplayName.escape(path))\"")
        }
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        return try body(&folder)
    }

    /// The content of the file `name`, of at most `limit` bytes; nil when there is none. Permissions that let others in
    /// are taken away first.
    mutating func read(_ name: String, limit: Int = Defaults.maximumProfileFile) throws(FileError) -> Data? {
        do {
            let file = try OpenFile(name, in: directory, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
            let full = path + "/" + name
            guard try FileAccess(of: file.descriptor).isRegular else {
                throw Self.unusable(full, "is not a regular file")
            }
            if try Self.restrict(file, to: AtomicFile.mode, full) { warnings.append(Self.warning(full)) }
            return try BoundedFile.read(file.descriptor, limit: limit)
        } catch let error as FileError {
            throw error
        } catch {
            let failure = SystemError(of: error)
            switch failure.code {
            case ENOENT: return nil
            case EFBIG: throw Self.unusable(path + "/" + name, "is too large")
            default: throw Self.unusable(path + "/" + name, "cannot be read: \(failure.phrase)")
            }
        }
    }

    /// Writes the file `name` so that at any moment, also after a power cut, either the old content or all of the new
    /// one is there. Unless `replacing`, an existing file is an error.
    ///
    /// - Parameter isDurable: whether the disk is waited for. Without that, a power cut may leave the file empty.
    func write(_ content: Data, to name: String, replacing: Bool, isDurable: Bool = true) throws(FileError) {
        let temporary = ".\(name).\(UInt64.random(in: .min ... .max)).new"
        do {
            try AtomicFile.write(
                content, to: name, in: directory.descriptor, by: temporary, isDurable: isDurable,
                place: replacing ? nil : { try self.give(name, to: temporary) }
            )
        } catch {
            unsafe unlinkat(directory.descriptor, temporary, 0)
            throw cannotWrite(name, SystemError(of: error))
        }
    }

    /// Adds `content` behind what the file `name` holds, without waiting for the disk.
    func append(_ content: Data, to name: String) throws(FileError) {
        do {
            let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK
            let file = try OpenFile(name, in: directory, flags: flags, mode: AtomicFile.mode)
            try unsafe content.withUnsafeBytes { bytes in
                try unsafe SystemError.writeAll(bytes, to: file.descriptor)
            }
        } catch {
            throw cannotWrite(name, SystemError(of: error))
        }
    }

    /// Removes the file `name`, unless it is gone already.
    func remove(_ name: String) throws(FileError) {
        guard unsafe unlinkat(directory.descriptor, name, 0) != 0 else { return }
        let failure = SystemError.last
        guard failure.code != ENOENT else { return }
        throw FileError(
            code: .cannotCreate,
            message: "cannot remove \"\(DisplayName.escape(path + "/" + name))\": \(failure.phrase)"
        )
    }

    /// The names of what is in it, sorted, but for those that begin with a dot.
    func names() throws(FileError) -> [String] {
        let copy = fcntl(directory.descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0, let listing = unsafe fdopendir(copy) else {
            let failure = SystemError.last
            if copy >= 0 { close(copy) }
            throw Self.unusable(path, "cannot be read: \(failure.phrase)")
        }
        defer { unsafe closedir(listing) }
        // The copy goes on where the folder was read before.
        unsafe rewinddir(listing)
        var names: [String] = []
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private func cannotWrite(_ name: String, _ failure: SystemError) -> FileError {
        FileError(
            code: .cannotCreate,
            message: "cannot write \"\(DisplayName.escape(path + "/" + name))\": \(failure.phrase)"
        )
    }

    private func give(_ name: String, to temporary: String) throws(SystemError) {
        if try NewName.give(name, to: temporary, in: directory) == .taken { throw SystemError(code: EEXIST) }
    }

    /// Keeps every other process that asks for the same out, until the result is let go.
    func lock() throws(FileError) -> OpenFile {
        do throws(SystemError) {
            let file = try OpenFile(".lock", in: directory, flags: O_RDWR | O_CREAT, mode: 0o600)
            try SystemError.check { flock(file.descriptor, LOCK_EX) }
            return file
        } catch {
            let advice =
                "; a profile has to be in a place that can be written: move it, and name the place with --profile"
            throw FileError(
                code: .cannotCreate,
                message: "cannot lock the profile in \"\(DisplayName.escape(path))\": \(error.phrase)"
                    + (error.code == EROFS ? advice : "")
            )
        }
    }

    /// Takes every permission beyond `mode` away; returns whether there were any.
    private static func restrict(_ file: OpenFile, to mode: mode_t, _ path: String) throws -> Bool {
        let access = try FileAccess(of: file.descriptor)
        guard access.isOwn else {
            throw unusable(path, "belongs to another user: use a profile of your own (--profile)")
        }
        guard access.exceeds(mode) else { return false }
        try access.restrict(file.descriptor, to: mode)
        return true
    }

    private static func warning(_ path: String) -> String {
        "others could get at \"\(DisplayName.escape(path))\"; its permissions are corrected now"
    }

    private static func unusable(_ path: String, _ why: String) -> FileError {
        FileError(code: .unusableProfile, message: "\"\(DisplayName.escape(path))\" \(why)")
    }
}

extension SystemError {
    /// The failed call behind an error of ``PrivateFiles``, which throws nothing else.
    fileprivate init(of error: any Error) {
        switch error {
        case let error as SystemError: self = error
        case let failure as PrivateFolder.Failure: self = failure.error
        default: self.init(code: EIO)
        }
    }
}
