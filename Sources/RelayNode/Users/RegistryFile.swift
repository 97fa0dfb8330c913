// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
package import PrivateFiles
package import ServerSystem
import TransferBroker

/// The registry's file in the state directory: replaced as a whole, so that a reader sees the old or the new, also
/// after the process, or the machine, has stopped between any two steps (``AtomicFile``).
package struct RegistryFile: Sendable {
    package static let name = "users.json"
    static let temporaryName = "users.json.new"
    /// The file's name once its users have gone to a cluster.
    static let importedName = "users.json.imported"

    package let directory: StateDirectory

    /// Told after each step; throwing there stops the replacement as a kill would. For tests.
    package var reached: @Sendable (AtomicFile.Step) throws -> Void = { _ in }

    package init(directory: StateDirectory, reached: @escaping @Sendable (AtomicFile.Step) throws -> Void = { _ in }) {
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
        try AtomicFile.write(
            contents, to: Self.name, in: directory.descriptor, by: Self.temporaryName, reached: reached
        )
    }

    /// Puts the file away under ``importedName``, since its users are elsewhere now.
    package func retire() throws(SystemError) {
        try SystemError.check {
            unsafe renameat(directory.descriptor, Self.name, directory.descriptor, Self.importedName)
        }
        try SystemError.check { fsync(directory.descriptor) }
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
