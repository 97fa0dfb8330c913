// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import TransferClient

/// A folder that belongs to one user alone (0700), with small files in it that no other user may read (0600).
struct PrivateDirectory {
    private let path: String
    private let directory: OpenFile
    /// What had to be put right when it was opened or read, in words.
    private(set) var warnings: [String] = []

    /// Opens the folder at `path`; with `creating`, makes it and whatever is missing above it. Nil when it is missing
    /// and not to be made. Throws ``ProfileError`` when it belongs to another user.
    init?(path: String, creating: Bool) throws {
        self.path = path
        do {
            if creating { try Self.make(path) }
            directory = try OpenFile(path, flags: O_RDONLY | O_DIRECTORY)
            if try Self.restrict(directory, to: 0o700, path) { warnings.append(Self.warning(path)) }
        } catch let failure as SystemFailure {
            if failure.number == ENOENT, !creating { return nil }
            throw ProfileError(
                code: creating ? .cannotWrite : .unusable,
                message: "cannot open the profile's folder \"\(DisplayName.escape(path))\": \(failure)"
            )
        }
    }

    /// The content of the file `name`; nil when there is none. Permissions that let others in are taken away first.
    mutating func read(_ name: String) throws -> Data? {
        do {
            let file = try OpenFile(name, in: directory, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
            let full = path + "/" + name
            guard try SystemCall.status(of: file.descriptor).st_mode & S_IFMT == S_IFREG else {
                throw Self.unusable(full, "is not a regular file")
            }
            if try Self.restrict(file, to: 0o600, full) { warnings.append(Self.warning(full)) }
            var content = Data()
            var space = [UInt8](repeating: 0, count: 4096)
            while content.count <= Defaults.maximumProfileFile {
                let count = try SystemCall.check { unsafe Glibc.read(file.descriptor, &space, space.count) }
                if count == 0 { return content }
                content.append(contentsOf: space.prefix(count))
            }
            throw Self.unusable(full, "is too large")
        } catch let failure as SystemFailure {
            if failure.number == ENOENT { return nil }
            throw Self.unusable(path + "/" + name, "cannot be read: \(failure)")
        }
    }

    /// Writes the file `name` so that at any moment, also after a power cut, either the old content or all of the new
    /// one is there. Unless `replacing`, an existing file is an error.
    func write(_ content: Data, to name: String, replacing: Bool) throws {
        let temporary = ".\(name).\(UInt64.random(in: .min ... .max)).new"
        do {
            do {
                let file = try OpenFile(temporary, in: directory, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
                try unsafe content.withUnsafeBytes { bytes in try unsafe SystemCall.writeAll(bytes, to: file.descriptor)
                }
                try SystemCall.check { fsync(file.descriptor) }
                if replacing {
                    try SystemCall.check {
                        unsafe renameat(directory.descriptor, temporary, directory.descriptor, name)
                    }
                } else if try NewName.give(name, to: temporary, in: directory) == .taken {
                    throw SystemFailure(number: EEXIST)
                }
                try SystemCall.check { fsync(directory.descriptor) }
            } catch {
                unsafe unlinkat(directory.descriptor, temporary, 0)
                throw error
            }
        } catch let failure as SystemFailure {
            throw ProfileError(
                code: .cannotWrite,
                message: "cannot write \"\(DisplayName.escape(path + "/" + name))\": \(failure)"
            )
        }
    }

    /// Keeps every other process that asks for the same out, until the result is let go.
    func lock() throws -> OpenFile {
        do {
            let file = try OpenFile(".lock", in: directory, flags: O_RDWR | O_CREAT, mode: 0o600)
            try SystemCall.check { flock(file.descriptor, LOCK_EX) }
            return file
        } catch {
            throw ProfileError(
                code: .cannotWrite, message: "cannot lock the profile in \"\(DisplayName.escape(path))\": \(error)"
            )
        }
    }

    /// Takes every permission beyond `mode` away; returns whether there were any.
    private static func restrict(_ file: OpenFile, to mode: mode_t, _ path: String) throws -> Bool {
        let status = try SystemCall.status(of: file.descriptor)
        guard status.st_uid == geteuid() else {
            throw unusable(path, "belongs to another user: use a profile of your own (--profile)")
        }
        guard status.st_mode & 0o777 & ~mode != 0 else { return false }
        try SystemCall.check { fchmod(file.descriptor, status.st_mode & mode) }
        return true
    }

    private static func warning(_ path: String) -> String {
        "others could get at \"\(DisplayName.escape(path))\"; its permissions are corrected now"
    }

    private static func unusable(_ path: String, _ why: String) -> ProfileError {
        ProfileError(code: .unusable, message: "\"\(DisplayName.escape(path))\" \(why)")
    }

    /// `mkdir -p`, with permissions for the owner only.
    private static func make(_ path: String) throws(SystemFailure) {
        var made = path.hasPrefix("/") ? "/" : ""
        for component in path.split(separator: "/") {
            made += component
            do {
                try SystemCall.check { unsafe mkdir(made, 0o700) }
            } catch {
                // EROFS and EACCES also come for what is there already; opening it tells.
                if error.number != EEXIST && error.number != EROFS && error.number != EACCES { throw error }
            }
            made += "/"
        }
    }
}
