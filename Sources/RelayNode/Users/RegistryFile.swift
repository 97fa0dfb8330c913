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
    /// What the file was before its last change: the copy that is used when the file is damaged.
    package static let previousName = "users.json.previous"
    /// The name that a damaged file is given, for its operator to look at.
    package static let damagedName = "users.json.damaged"
    /// The file's name once its users have gone to a cluster.
    static let importedName = "users.json.imported"

    package let directory: StateDirectory

    private let reached: @Sendable (AtomicFile.Step) throws -> Void

    package init(directory: StateDirectory) { self.init(directory: directory, reached: { _ in }) }

    /// For tests.
    /// - Parameter reached: told after each step; throwing there stops the replacement as a kill would.
    init(directory: StateDirectory, reached: @escaping @Sendable (AtomicFile.Step) throws -> Void) {
        self.directory = directory
        self.reached = reached
    }

    /// Reads the registry; an empty one when there is no file yet. Of a damaged one, the last good copy.
    ///
    /// - Parameter repaired: told what was wrong with a file in whose place a copy has been put.
    /// - Throws: ``OperatorError`` when the file cannot be read, or is damaged and there is no good copy; all is left
    ///   as it is then.
    package func load(repaired: (_ problem: String) -> Void) throws(OperatorError) -> UserRegistry {
        do {
            return try load(Self.name) ?? UserRegistry()
        } catch {
            guard error.isDamage, let copy = try? load(Self.previousName) else { throw error.problem }
            do {
                // The damaged file gets a second name and keeps its own until the copy has it: without a file, a next
                // start would take the registry for a new one, without users.
                unsafe unlinkat(directory.descriptor, Self.damagedName, 0)
                try SystemError.check {
                    unsafe linkat(directory.descriptor, Self.name, directory.descriptor, Self.damagedName, 0)
                }
                // The previous file stays what it is: it is the only good one until this is done.
                try write(copy)
            } catch let failure {
                throw OperatorError(error.problem.status, "\(error.problem.message) (\(failure))")
            }
            repaired(error.problem.message)
            return copy
        }
    }

    private struct LoadFailure: Error {
        var problem: OperatorError
        /// Whether the file was read, and is not what this program writes.
        var isDamage: Bool
    }

    private func load(_ name: String) throws(LoadFailure) -> UserRegistry? {
        let path = StateDirectory.path(of: name, in: directory.path)
        let contents: Data?
        do {
            contents = try read(name)
        } catch {
            throw LoadFailure(
                problem: OperatorError(.configuration, "cannot read the users' registry \(path): \(error)"),
                isDamage: false
            )
        }
        guard let contents else { return nil }
        do {
            return try UserRegistry(fileContents: contents)
        } catch {
            let what =
                switch error {
                case .malformed(let line):
                    "is damaged\(line.map { " on line \($0)" } ?? ""): put back a copy, or move it away to start "
                        + "without users"
                case .version(let version):
                    "has version \(version), which this relay-server cannot read: install a newer one"
                }
            let isDamage = if case .malformed = error { true } else { false }
            throw LoadFailure(
                problem: OperatorError(.configuration, "the users' registry \(path) \(what)"), isDamage: isDamage)
        }
    }

    /// Replaces the file by `registry`. When it throws, the old contents are still there or the new ones already are.
    package func replace(with registry: UserRegistry) throws {
        let contents = try registry.fileContents()
        keepPrevious()
        try write(contents)
    }

    private func write(_ registry: UserRegistry) throws { try write(try registry.fileContents()) }

    private func write(_ contents: Data) throws {
        // A leftover of a process that was killed: the lock proves that no process is writing it now.
        unsafe unlinkat(directory.descriptor, Self.temporaryName, 0)
        try AtomicFile.write(
            contents, to: Self.name, in: directory.descriptor, by: Self.temporaryName, reached: reached
        )
    }

    /// Keeps what the file is now under another name as well. Where that cannot be done, there is no copy; the change
    /// itself is not held up.
    private func keepPrevious() {
        var status = stat()
        guard unsafe fstatat(directory.descriptor, Self.name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return }
        unsafe unlinkat(directory.descriptor, Self.previousName, 0)
        unsafe linkat(directory.descriptor, Self.name, directory.descriptor, Self.previousName, 0)
    }

    /// Puts the file away under ``importedName``, since its users are elsewhere now.
    package func retire() throws(SystemError) {
        // No new contents, which AtomicFile would be for: those that are there get another name.
        try SystemError.check {
            unsafe renameat(directory.descriptor, Self.name, directory.descriptor, Self.importedName)
        }
        try SystemError.check { fsync(directory.descriptor) }
    }

    /// The bytes of the file called `name`; nil when there is none.
    private func read(_ name: String) throws -> Data? {
        let file = unsafe openat(directory.descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            let error = SystemError.last
            if error.code == ENOENT { return nil }
            throw error
        }
        defer { close(file) }
        return try BoundedFile.read(file, limit: Defaults.Users.maximumFileSize)
    }
}
