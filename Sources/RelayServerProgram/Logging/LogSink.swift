// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import ServerSystem
import Synchronization

/// Where log lines go: standard error, or a file that is appended to.
final class LogSink: Sendable {
    private struct State {
        var descriptor: CInt
        /// Lines that could not be written since one could.
        var lost = 0
        /// Lines that could not be written since the start.
        var allLost: UInt64 = 0
        /// Whether the last line was written in part.
        var isBroken = false
    }

    private let path: String?
    /// One line is written at a time, also when a write takes several calls.
    private let state: Mutex<State>

    /// Standard error.
    static let standardError = LogSink(descriptor: STDERR_FILENO, path: nil)

    /// Opens `path` for appending; makes it, readable for the owner only, if it is not there.
    convenience init(path: String) throws(OperatorError) {
        self.init(descriptor: try Self.open(path), path: path)
    }

    private init(descriptor: CInt, path: String?) {
        state = Mutex(State(descriptor: descriptor))
        self.path = path
    }

    deinit { state.withLock { if path != nil { close($0.descriptor) } } }

    private static func open(_ path: String) throws(OperatorError) -> CInt {
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY
        let descriptor = unsafe Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else {
            throw OperatorError(.cannotCreate, "cannot open the log file \(path): \(SystemError.last)")
        }
        return descriptor
    }

    /// Lines that could not be written since the start.
    var lostLines: UInt64 { state.withLock { $0.allLost } }

    /// Opens the file by its name again, since a program that rotates logs may have moved it away. Standard error stays
    /// what it is.
    /// - Throws: ``OperatorError`` when it cannot be opened; the old one is written to then.
    func reopen() throws(OperatorError) {
        guard let path else { return }
        let new = try Self.open(path)
        let old = state.withLock { state in
            defer { state.descriptor = new }
            return state.descriptor
        }
        close(old)
    }

    /// Writes `line`. What cannot be written is lost: a full disk must not stop the relay.
    ///
    /// - Parameter recovered: the line that is written first when there is room again, made from how many were lost.
    func write(_ line: String, recovered: (Int) -> String = { _ in "" }) {
        let failure = state.withLock { state -> SystemError? in
            do throws(SystemError) {
                let note = state.lost > 0 ? recovered(state.lost) : ""
                try Self.write((state.isBroken ? "\n" : "") + note + line, &state)
                state.lost = 0
                return nil
            } catch {
                state.lost += 1
                state.allLost &+= 1
                return state.lost == 1 ? error : nil
            }
        }
        // Said once, where a service manager may hear it.
        guard let failure, let path else { return }
        let text =
            "relay-server: cannot write to the log file \(TextEscape.escape(path)): \(failure); lines are lost meanwhile\n"
        Self.standardError.write(text)
    }

    private static func write(_ text: String, _ state: inout State) throws(SystemError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let descriptor = state.descriptor
            let count = try SystemError.check {
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { throw SystemError(code: ENOSPC) }
            rest = rest.dropFirst(count)
            state.isBroken = !rest.isEmpty
        }
    }
}
