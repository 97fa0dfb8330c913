// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem

/// The file that tells others the process's id, for as long as the process serves.
struct PIDFile: Sendable {
    let path: String

    /// Writes this process's id, and a line feed. Readers see all of it or no file.
    /// - Throws: ``OperatorError`` when the file cannot be made.
    func write() throws(OperatorError) {
        let temporary = path + ".new"
        do {
            let file = try SystemError.check {
                unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
            }
            defer { close(file) }
            _ = fchmod(file, 0o644)
            let text = Array("\(getpid())\n".utf8)
            try SystemError.check { unsafe text.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) } }
            try SystemError.check { unsafe rename(temporary, path) }
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
}
