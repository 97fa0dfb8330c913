// SPDX-License-Identifier: Apache-2.0

import WSProtocol

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file that has arrived, for the command of `--exec`.
struct FinishedFile: Hashable, Sendable {
    let path: String
    let from: PeerName
    let size: UInt64
    let transfer: TransferID

    /// What the command finds in its environment besides this process's own. Names and paths reach it in no other way:
    /// nothing of them is ever part of a command line.
    var variables: [String: String] {
        [
            "RELAY_FILE": path, "RELAY_FROM": from.rawValue, "RELAY_SIZE": "\(size)",
            "RELAY_TRANSFER": transfer.rawValue,
        ]
    }

    /// Runs `command` with `/bin/sh -c`, its input empty and its output on standard error.
    ///
    /// - Returns: what went wrong, as a sentence; nil after a status of 0.
    func run(_ command: String) async -> String? {
        let variables = Environment.current.variables.merging(variables) { _, own in own }
        let status = try? await BlockingWork.commands.run { Self.spawn(command, variables) }
        switch status {
        case .some(0): return nil
        case .some(let status) where status > 0: return "the command of --exec ended with status \(status)"
        default: return "the command of --exec could not be run to its end"
        }
    }

    /// Blocks until the command has ended; its status, or -1 when it could not be started or was killed.
    private static func spawn(_ command: String, _ variables: [String: String]) -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard unsafe posix_spawn_file_actions_init(&actions) == 0, unsafe posix_spawnattr_init(&attributes) == 0 else {
            return -1
        }
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        // This process ignores some signals; a shell expects none of that, but what its caller's caller wants.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in InheritedSignals.toRestore { unsafe sigaddset(&signals, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe texts(["/bin/sh", "-c", command])
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe texts(variables.map { "\($0)=\($1)" })
        defer { unsafe release(arguments + environment) }
        var child = pid_t()
        guard unsafe posix_spawn(&child, "/bin/sh", &actions, &attributes, &arguments, &environment) == 0 else {
            return -1
        }
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 { guard errno == EINTR else { return -1 } }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
    }

    private static func release(_ texts: [UnsafeMutablePointer<CChar>?]) {
        for index in unsafe texts.indices { unsafe free(texts[index]) }
    }

    /// C strings with a null pointer behind them, to be released.
    private static func texts(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        unsafe texts.map { text in unsafe strdup(text) } + [nil]
    }
}
