// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// The directory with what has to outlive the process, held open and locked: one process at a time.
///
/// Only its owner may enter it (mode 0700), which is what protects the admin socket and the registry in it.
package final class StateDirectory: Sendable {
    /// The path as the operator wrote it.
    package let path: String
    /// The open directory; files in it are opened relative to this, so that a renamed parent cannot redirect them.
    package let descriptor: CInt
    /// The open file whose lock says that this process, or one that it hands over to, uses the directory.
    package let lock: CInt

    /// The file whose lock says that a process uses the directory. It stays when the process ends.
    static let lockName = "lock"

    /// Makes the directory if it is not there, checks that no other user can enter it, and locks it.
    /// - Parameter inherited: the lock of the process whose place this one takes; it is closed with this.
    /// - Throws: ``OperatorError``.
    package init(path: String, lock inherited: CInt? = nil) throws(OperatorError) {
        guard !path.isEmpty else { throw OperatorError(.configuration, "the state directory has no name") }
        self.path = path
        do {
            try PrivateFolder.make(path)
        } catch {
            throw OperatorError(
                .configuration, "cannot make the state directory \(path): \(error.path): \(error.error)"
            )
        }
        guard let descriptor = try Self.open(path) else {
            throw OperatorError(.configuration, "cannot open the state directory \(path): \(SystemError(code: ENOENT))")
        }
        do {
            try Self.checkAccess(path, descriptor, closing: true)
            lock = if let inherited { inherited } else { try Self.takeLock(path, descriptor) }
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    /// Whether a server could use the directory, as far as its owner and its mode say; one that is not there can be
    /// made. Changes nothing.
    /// - Throws: ``OperatorError``.
    package static func check(_ path: String) throws(OperatorError) {
        guard let descriptor = try open(path) else { return }
        defer { close(descriptor) }
        try checkAccess(path, descriptor, closing: false)
    }

    /// Nil when there is no such directory.
    private static func open(_ path: String) throws(OperatorError) -> CInt? {
        do {
            return try SystemError.check { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        } catch  where error.code == ENOENT {
            return nil
        } catch {
            throw OperatorError(.configuration, "cannot open the state directory \(path): \(error)")
        }
    }

    deinit {
        close(lock)
        close(descriptor)
    }

    /// The path of the file `name` in the directory.
    package static func path(of name: String, in directory: String) -> String {
        directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }

    /// - Parameter closing: whether a directory that is open to other users, and that none of them uses, is closed to
    ///   them.
    private static func checkAccess(
        _ path: String, _ descriptor: CInt, closing: Bool
    ) throws(OperatorError) {
        let access: FileAccess
        do {
            access = try FileAccess(of: descriptor)
        } catch {
            throw OperatorError(.configuration, "cannot look at the state directory \(path): \(error)")
        }
        // A process that only checks may run as the machine's operator, and the server as another user.
        guard access.isOwn || (!closing && geteuid() == 0) else {
            throw OperatorError(
                .configuration, "the state directory \(path) belongs to another user: choose another with --state-dir"
            )
        }
        guard access.exceeds(PrivateFolder.mode) else { return }
        // Closing a directory that others use for something else would surprise them; an empty one is not in use.
        guard isOurs(path), !closing || fchmod(descriptor, PrivateFolder.mode) == 0 else {
            throw OperatorError(
                .configuration,
                "the state directory \(path) is open to other users: chmod 700 it, or choose another with --state-dir"
            )
        }
    }

    /// Whether the directory is empty or was used by a relay before.
    private static func isOurs(_ path: String) -> Bool {
        guard let stream = unsafe opendir(path) else { return false }
        defer { unsafe closedir(stream) }
        var isEmpty = true
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name))
                {
                    unsafe String(cString: $0)
                }
            }
            if name == lockName { return true }
            if name != ".", name != ".." { isEmpty = false }
        }
        return isEmpty
    }

    private static func takeLock(_ path: String, _ directory: CInt) throws(OperatorError) -> CInt {
        let lock: CInt
        do {
            lock = try SystemError.check {
                unsafe openat(directory, lockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, AtomicFile.mode)
            }
        } catch {
            throw OperatorError(.configuration, "cannot make a file in \(path): \(error)")
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let error = SystemError.last
            close(lock)
            guard error.code == EWOULDBLOCK else {
                throw OperatorError(.configuration, "cannot lock the state directory \(path): \(error)")
            }
            throw OperatorError(
                .unavailable, "another relay-server uses \(path): stop it, or choose another with --state-dir"
            )
        }
        return lock
    }
}
