// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import ServerSystem
import Synchronization

/// Where log lines go: standard error, or a file that is appended to.
final class LogSink: Sendable {
    private let descriptor: CInt
    private let isOwned: Bool
    /// One line is written at a time, also when a write takes several calls.
    private let turn = Mutex<Void>(())

    /// Standard error.
    static let standardError = LogSink(descriptor: STDERR_FILENO, isOwned: false)

    /// Opens `path` for appending; makes it, readable for the owner only, if it is not there.
    convenience init(path: String) throws(OperatorError) {
        let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw OperatorError(.cannotCreate, "cannot open the log file \(path): \(SystemError.last)")
        }
        self.init(descriptor: descriptor, isOwned: true)
    }

    private init(descriptor: CInt, isOwned: Bool) {
        self.descriptor = descriptor
        self.isOwned = isOwned
    }

    deinit { if isOwned { close(descriptor) } }

    /// Writes `line`. What cannot be written is lost: a full disk must not stop the relay.
    func write(_ line: String) {
        turn.withLock { _ in
            var rest = Array(line.utf8)[...]
            while !rest.isEmpty {
                let count = try? SystemError.check {
                    unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
                }
                guard let count, count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
