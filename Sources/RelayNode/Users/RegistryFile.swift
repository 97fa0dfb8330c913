// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
package import ServerSystem
import TransferBroker

/// The registry's file in the state directory: replaced as a whole, so that a reader sees the old or the new.
///
/// The new contents go to a second file, are forced to the disk, and take the first one's name in one step. The
/// process, or the machine, may stop between any two of these steps.
package struct RegistryFile: Sendable {
    package static let name = "users.json"
    static let temporaryName = "users.json.new"
    /// The file's name once its users have gone to a cluster.
    static let importedName = "users.json.imported"

    /// The steps of a replacement, in their order.
    package enum Step: CaseIterable, Sendable {
        case created, halfWritten, written, synced, renamed, directorySynced
    }

    package let directory: StateDirectory

    /// Told after each step; throwing there stops the replacement as a kill would. For tests.
    package var reached: @Sendable (Step) throws -> Void = { _ in }

    package init(directory: StateDirectory, reached: @escaping @Sendable (Step) throws -> Void = { _ in }) {
        self.directory = directory
        self.reached = reached
    }

    private var path: String { StateDirectory.path(of: Self.name, in: directory.path) }

    /// Reads the registry; an empty one when there is no file yet.
    /// - Throws: ``OperatorError`` when the file cannot be read or is damaged; it is left as it is.
    package func load() throws(OperatorError) -> UserRegistry {
        let contents: Data?
        do {
            contents = try read()
        } catch {
            throw OperatorError(.configuration, "cannot read the users' registry \(path): \(error)")
        }
        guard let contents else { return UserRegistry() }
        do {
            return try UserRegistry(fileContents: contents)
        } catch {
            switch error {
            case .malformed:
                throw OperatorError(
                    .configuration,
                    "the users' registry \(path) is damaged: put back a copy, or move it away to start without users"
                )
            case .version(let version):
                throw OperatorError(
                    .configuration,
                    "the users' registry \(path) has version \(version), which this relay-server cannot read: "
                        + "install a newer one"
                )
            }
        }
    }

    /// Replaces the file by `registry`. When it throws, the old contents are still there or the new ones already are.
    package func replace(with registry: UserRegistry) throws {
        let contents = try registry.fileContents()
        // A leftover of a process that was killed: the lock proves that no process is writing it now.
        unsafe unlinkat(directory.descriptor, Self.temporaryName, 0)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let file = try SystemError.check { unsafe openat(directory.descriptor, Self.temporaryName, flags, 0o600) }
        do {
            defer { close(file) }
            try reached(.created)
            try write(contents.prefix(contents.count / 2), to: file)
            try reached(.halfWritten)
            try write(contents.dropFirst(contents.count / 2), to: file)
            try reached(.written)
            try SystemError.check { fsync(file) }
            try reached(.synced)
        }
        try SystemError.check {
            unsafe renameat(directory.descriptor, Self.temporaryName, directory.descriptor, Self.name)
        }
        try reached(.renamed)
        try SystemError.check { fsync(directory.descriptor) }
        try reached(.directorySynced)
    }

    /// Puts the file away under ``importedName``, since its users are elsewhere now.
    package func retire() throws(SystemError) {
        try SystemError.check {
            unsafe renameat(directory.descriptor, Self.name, directory.descriptor, Self.importedName)
        }
        try SystemError.check { fsync(directory.descriptor) }
    }

    private func write(_ bytes: Data, to file: CInt) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try SystemError.check {
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }

    /// The file's bytes; nil when there is none.
    private func read() throws -> Data? {
        let file = unsafe openat(directory.descriptor, Self.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            let error = SystemError.last
            if error.code == ENOENT { return nil }
            throw error
        }
        defer { close(file) }
        return try BoundedFile.read(file, limit: Defaults.Users.maximumFileSize)
    }
}
