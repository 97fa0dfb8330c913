// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import WSProtocol

/// A command of the person, run by the shell.
enum ShellCommand {
    /// Runs `command` with `/bin/sh -c`, its input empty and its output on standard error, and blocks until it has
    /// ended. It inherits nothing else of this process but the signals as they were when this process was started: what
    /// it leaves running must not hold on to a connection, or the relay believes the session alive.
    ///
    /// - Returns: its status, or -1 when it could not be started or was killed.
    static func run(_ command: String, environment: [String: String]) -> Int32 {
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
        // Between the call that makes a socket and the one that marks it, another thread may be here.
        guard unsafe CLinux_close_from(&actions, STDERR_FILENO + 1) == 0 else { return -1 }
        // This process ignores some signals; a shell expects none of that, but what its caller's caller wants.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in InheritedSignals.toRestore { unsafe sigaddset(&signals, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe texts(["/bin/sh", "-c", command])
        var variables: [UnsafeMutablePointer<CChar>?] = unsafe texts(environment.map { "\($0)=\($1)" })
        defer { unsafe release(arguments + variables) }
        var child = pid_t()
        guard unsafe posix_spawn(&child, "/bin/sh", &actions, &attributes, &arguments, &variables) == 0 else {
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

/// A file that has arrived, for the command of `--exec`.
struct FinishedFile: Sendable {
    let content: StoredContent
    let from: PeerName
    let size: UInt64
    let transfer: TransferID

    /// All of what has arrived with one transfer.
    static func all(_ stored: StoredTransfer, from peer: PeerName, _ transfer: TransferID) -> [FinishedFile] {
        stored.contents.map { content in
            let size = stored.contents.count == 1 ? stored.bytes : content.fileSize ?? 0
            return FinishedFile(content: content, from: peer, size: size, transfer: transfer)
        }
    }

    /// What the command finds in its environment besides this process's own, the file being at `path`. Names and paths
    /// reach it in no other way: nothing of them is ever part of a command line.
    func variables(path: String) -> [String: String] {
        [
            "RELAY_FILE": path, "RELAY_FROM": from.rawValue, "RELAY_SIZE": "\(size)",
            "RELAY_TRANSFER": transfer.rawValue,
        ]
    }

    /// Runs `command`. It may have waited for its turn: the path is the one that the file has when it begins.
    ///
    /// - Returns: what went wrong, as a sentence; nil after a status of 0.
    func run(_ command: String) async -> String? {
        let status: Int32?? = try? await BlockingWork.commands.run {
            guard let path = content.currentPath() else { return nil }
            let variables = Environment.current.variables.merging(variables(path: path)) { _, own in own }
            return ShellCommand.run(command, environment: variables)
        }
        switch status {
        case .some(.none):
            return "the command of --exec was not run: \"\(DisplayName.escape(content.path))\" is not there any more"
        case .some(.some(0)): return nil
        case .some(.some(let status)) where status > 0: return "the command of --exec ended with status \(status)"
        case .some(.some), .none: return "the command of --exec could not be run to its end"
        }
    }
}
