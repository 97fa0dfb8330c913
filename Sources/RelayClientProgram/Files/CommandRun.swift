// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
private import CLinux
import Glibc
import TransferClient
import WSProtocol

/// Running a command of the person.
enum CommandRun {
    /// Runs a program, which is looked for on the PATH, its input empty and its output on standard error, and blocks
    /// until it has ended, however long that takes. It inherits nothing else of this process but the signals as they
    /// were when this process was started: what it leaves running must not hold on to a connection, or the relay
    /// believes the session alive.
    ///
    /// - Returns: its status, or -1 when it could not be started or was killed.
    static func run(_ command: [String], environment: [String: String]) -> Int32 {
        guard let program = command.first else { return -1 }
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
        // This process ignores some signals; a program expects none of that, but what its caller's caller wants.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in InheritedSignals.toRestore { unsafe sigaddset(&signals, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe texts(command)
        var variables: [UnsafeMutablePointer<CChar>?] = unsafe texts(environment.map { "\($0)=\($1)" })
        defer { unsafe release(arguments + variables) }
        var child = pid_t()
        guard unsafe posix_spawnp(&child, program, &actions, &attributes, &arguments, &variables) == 0 else {
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

    /// What the command is told, the file being at `path`. Names and paths reach it in no other way: nothing of them is
    /// ever read by a shell.
    func variables(path: String) -> [FileCommand.Variable: String] {
        [.file: path, .from: from.rawValue, .size: "\(size)", .transfer: transfer.rawValue]
    }

    /// Runs `command`. It may have waited for its turn: the path is the one that the file has when it begins.
    ///
    /// - Returns: what went wrong, as a message; nil after a status of 0.
    func run(_ command: FileCommand) async -> String? {
        let status: Int32?? = try? await BlockingWork.commands.run {
            guard let path = content.currentPath() else { return nil }
            let variables = variables(path: path)
            let named = variables.map { ($0.key.rawValue, $0.value) }
            let environment = Environment.current.variables.merging(named) { _, own in own }
            return CommandRun.run(command.arguments(variables), environment: environment)
        }
        let shown = "\"\(DisplayName.path(content.path))\""
        switch status {
        case .some(.none): return "the command of --exec was not run: \(shown) is not there any more"
        case .some(.some(0)): return nil
        case .some(.some(let status)) where status > 0:
            return "the command of --exec ended with status \(status) for \(shown), which stays"
        case .some(.some), .none: return "the command of --exec could not be run to its end for \(shown), which stays"
        }
    }
}

extension FileCommand {
    /// The command of a command line.
    ///
    /// - Parameters:
    ///   - program: that of `--exec`.
    ///   - shell: that of `--exec-shell`.
    /// - Throws: `ValidationError`, for a text that is none, or both.
    static func argument(program: String?, shell: String?) throws -> FileCommand? {
        do throws(Fault) {
            switch (program, shell) {
            case (nil, nil): return nil
            case (let text?, nil): return try FileCommand(text)
            case (nil, let text?): return try FileCommand(shell: text)
            case (.some, .some): break
            }
        } catch {
            throw ValidationError(error.message)
        }
        throw ValidationError("--exec and --exec-shell both say what to run; leave one of them out")
    }

    /// What to say about the program where there is none on the PATH of `variables`; nil otherwise.
    func mistake(_ variables: [String: String]) -> String? {
        let paths =
            program.contains("/")
            ? [program]
            : (variables["PATH"] ?? "/bin:/usr/bin").split(separator: ":").map { $0 + "/" + program }
        guard !isShell, !paths.contains(where: { unsafe access($0, X_OK) == 0 }) else { return nil }
        return "--exec: there is no program \"\(DisplayName.escape(program))\" that can be run; write its whole path"
    }
}

extension FileCommand.Fault {
    fileprivate var message: String {
        switch self {
        case .empty: "--exec needs a command, such as --exec 'clamscan \"$RELAY_FILE\"'"
        case .needsShell(let sign):
            "--exec runs a program without a shell, and \(sign == "\n" ? "a line break" : sign) means something to a "
                + "shell only: quote it, or use --exec-shell"
        case .openQuote: "--exec: a quotation mark has no other one"
        case .unknownVariable(let name):
            "--exec knows $RELAY_FILE, $RELAY_FROM, $RELAY_SIZE and $RELAY_TRANSFER, and not $\(name): use --exec-shell"
        }
    }
}
