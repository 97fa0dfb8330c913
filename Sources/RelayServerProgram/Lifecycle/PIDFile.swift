// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem
import Synchronization

/// The file that tells others the process's id, for as long as the process serves.
///
/// The process holds a lock on it: a second copy that is told the same file sees that the first one lives, and a file
/// that a killed one left behind is taken over.
final class PIDFile: Sendable {
    let path: String
    /// The open file, whose lock ends with it.
    private let file = Mutex<CInt>(-1)

    init(path: String) { self.path = path }

    deinit { file.withLock { if $0 >= 0 { close($0) } } }

    /// Looks whether another process has the file, before anything else is begun.
    /// - Parameter predecessor: the process whose place this one takes, if it does.
    /// - Throws: ``OperatorError`` that names the process.
    func check(predecessor: pid_t? = nil) throws(OperatorError) {
        let opened = try? SystemError.check { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
        guard let old = opened else { return }
        defer { close(old) }
        guard flock(old, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        let holder = Self.process(in: old)
        guard holder == nil || holder != predecessor else { return }
        let who = holder.map { "process \($0)" } ?? "another process"
        throw OperatorError(
            .unavailable,
            "\(who) serves with the pid file \(path): stop it\(holder.map { " (kill \($0))" } ?? ""), "
                + "or choose another with --pid-file"
        )
    }

    /// Writes this process's id, and a line feed. Readers see all of it or no file.
    /// - Parameter place: called once the file can be put there, and before it is; when it throws, nothing has changed.
    /// - Throws: ``OperatorError`` when the file cannot be made, or another process has it.
    func write(predecessor: pid_t? = nil, after place: () throws -> Void = {}) throws(OperatorError) {
        try check(predecessor: predecessor)
        let temporary = path + ".new"
        // Not as an AtomicFile: it stays open with its lock, and nothing of it has to outlive a power cut.
        do {
            let file = try SystemError.check {
                unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
            }
            do {
                // Before the file has its name: a process that finds it there finds it locked.
                try SystemError.check { flock(file, LOCK_EX | LOCK_NB) }
                _ = fchmod(file, 0o644)
                let text = Array("\(getpid())\n".utf8)
                try unsafe text.withUnsafeBytes { try unsafe SystemError.writeAll($0, to: file) }
                try place()
                try SystemError.check { unsafe rename(temporary, path) }
            } catch {
                unsafe unlink(temporary)
                close(file)
                throw error
            }
            self.file.withLock { $0 = file }
        } catch let error as OperatorError {
            throw error
        } catch {
            throw OperatorError(.cannotCreate, "cannot write the pid file \(path): \(error)")
        }
    }

    /// Removes the file if it still names this process.
    func remove() {
        guard let contents = try? BoundedFile.read(path, limit: 64),
            String(decoding: contents, as: UTF8.self) == "\(getpid())\n"
        else { return }
        unsafe unlink(path)
    }

    /// The process id that stands in an open file.
    private static func process(in file: CInt) -> pid_t? {
        guard let contents = try? BoundedFile.read(file, limit: 64) else { return nil }
        return pid_t(String(decoding: contents, as: UTF8.self).filter { !$0.isWhitespace })
    }
}
