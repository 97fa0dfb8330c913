// SPDX-License-Identifier: Apache-2.0

import Glibc
import ServerSystem

/// Running a program of the system for `setup`.
enum SystemCommand {
    /// Runs the program, found on the PATH, with its errors on standard error, and waits for its end. What it runs
    /// itself is found on the system's usual path.
    /// - Returns: its status; nil when it could not be started or was killed.
    static func run(_ command: [String]) -> Int32? {
        guard let program = command.first else { return nil }
        var actions = unsafe posix_spawn_file_actions_t()
        guard unsafe posix_spawn_file_actions_init(&actions) == 0 else { return nil }
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe texts(command)
        var variables: [UnsafeMutablePointer<CChar>?] = unsafe texts(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"])
        defer {
            let all = unsafe arguments + variables
            for index in unsafe all.indices { unsafe free(all[index]) }
        }
        var child = pid_t()
        guard unsafe posix_spawnp(&child, program, &actions, nil, &arguments, &variables) == 0 else { return nil }
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 { guard errno == EINTR else { return nil } }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : nil
    }

    private static func texts(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        unsafe texts.map { text in unsafe strdup(text) } + [nil]
    }

    /// The script that makes certificates: the package's, or that of the source tree the program was built in.
    static var certificateMaker: String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { return nil }
        var folder = String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)[...]
        var candidates: [String] = []
        for depth in 0..<6 {
            guard let slash = folder.lastIndex(of: "/") else { break }
            folder = folder[..<slash]
            if depth == 1 { candidates.append("\(folder)/share/relay-server/make-certificates") }
            candidates.append("\(folder)/certs/make")
        }
        return candidates.first { unsafe access($0, X_OK) == 0 }
    }

    /// Whether there is a file at `path` that this process may read.
    static func isReadable(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }

    /// Whether there is anything at `path`.
    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
