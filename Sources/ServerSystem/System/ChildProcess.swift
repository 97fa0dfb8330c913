// SPDX-License-Identifier: Apache-2.0

private import CProcess
import Glibc
package import PrivateFiles

/// Another process of this program, started with the same words.
package struct ChildProcess: Sendable {
    package let id: Int32

    /// How much is known of how a child ended.
    package enum End: Hashable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    /// The descriptor under which a child finds the pipe on which it tells how its start went.
    package static let reportDescriptor: CInt = 3

    /// Starts the program at `path`.
    /// - Parameters:
    ///   - variables: its whole environment.
    ///   - report: an open pipe, which the child has as ``reportDescriptor``; nothing else is open in it.
    ///   - isDetached: whether it gets a session of its own and loses this one's input and output.
    /// - Throws: what the system says.
    package static func start(
        _ path: String, arguments: [String], variables: [String: String], report: CInt, isDetached: Bool
    ) throws(SystemError) -> ChildProcess {
        let words = unsafe CStrings(arguments)
        let environment = unsafe CStrings(variables.map { "\($0.key)=\($0.value)" })
        var process: Int32 = 0
        let failure = unsafe CProcess_spawn(
            path, words.pointers, environment.pointers, report, isDetached ? 1 : 0, &process)
        guard failure == 0 else { throw SystemError(code: failure) }
        return ChildProcess(id: process)
    }

    /// Waits until it has ended; nil when it is no child of this process. Blocks the thread.
    package func wait() -> End? {
        var status: CInt = 0
        guard (try? SystemError.check({ unsafe waitpid(id, &status, 0) })) != nil else { return nil }
        // The macros of wait(2).
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }

    /// Ends it at once.
    package func kill() { _ = Glibc.kill(id, SIGKILL) }
}

/// Words as C has them, a null at their end.
@unsafe
private final class CStrings {
    private(set) var pointers: [UnsafeMutablePointer<CChar>?]

    init(_ words: [String]) { unsafe pointers = words.map { unsafe strdup($0) } + [nil] }

    deinit { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
}
