// SPDX-License-Identifier: Apache-2.0

private import Foundation
private import Synchronization

/// A real redis-server, or whatever `RELAY_REDIS_SERVER` names, on a port of its own that keeps nothing. It ends when
/// this object goes away.
package final class RedisServer: Sendable {
    static let program = ProcessInfo.processInfo.environment["RELAY_REDIS_SERVER"] ?? "redis-server"

    private let reserved: ReservedPort
    private let directory: TemporaryDirectory
    private let options: [String]
    private let usesTLS: Bool
    private let process = Mutex<ChildProcess?>(nil)

    /// - Parameters:
    ///   - options: more of redis-server's, such as `--requirepass`, `word`.
    ///   - starts: whether it runs at once; otherwise ``start()`` has to be called.
    package init(_ options: [String] = [], usesTLS: Bool = false, starts: Bool = true) async throws {
        directory = try TemporaryDirectory()
        self.options = options
        self.usesTLS = usesTLS
        reserved = try ReservedPort()
        if starts { try await start() }
    }

    deinit { process.withLock { $0?.signal(SIGKILL) } }

    package var port: Int { reserved.number }

    /// Starts it, again on the same port and without data; returns once it takes connections.
    package func start() async throws {
        let ports = usesTLS ? ["--port", "0", "--tls-port", "\(port)"] : ["--port", "\(port)"]
        let child = try ChildProcess(
            Self.program,
            ports + ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory.path] + options)
        process.withLock { $0 = child }
        try await child.wait(for: "Ready to accept connections")
    }

    package func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }

    /// Ends it as a crash would.
    package func kill() async throws {
        let child = process.withLock { $0 }
        child?.signal(SIGKILL)
        try await child?.exitStatus()
    }

    /// What redis-cli prints for a command, without the last line's end: nothing for a key that is not there.
    @discardableResult
    package func command(_ words: String..., password: String? = nil) async throws -> String {
        try await output(words, password: password).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Sees every command from now on, a line of its output each.
    package func monitor() async throws -> ChildProcess {
        let monitor = try ChildProcess("redis-cli", ["-p", "\(port)", "MONITOR"])
        try await monitor.wait(for: "OK")
        return monitor
    }

    /// All keys.
    package func keys() async throws -> Set<String> { try await Set(lines(["--scan"])) }

    /// The members of a set.
    package func members(of key: String) async throws -> Set<String> { try await Set(lines(["SMEMBERS", key])) }

    /// Everything there is, as text.
    package func contents() async throws -> String {
        var text = ""
        for key in try await keys().sorted() {
            let words =
                switch try await command("TYPE", key) {
                case "set": ["SMEMBERS", key]
                case "zset": ["ZRANGE", key, "0", "-1", "WITHSCORES"]
                default: ["GET", key]
                }
            text += "\(key) = \(try await output(words))"
        }
        return text
    }

    private func lines(_ words: [String]) async throws -> [String] {
        try await output(words).split(separator: "\n").map(String.init)
    }

    private func output(_ words: [String], password: String? = nil) async throws -> String {
        let login = password.map { ["--no-auth-warning", "-a", $0] } ?? []
        return try await ChildProcess.run("redis-cli", ["-p", "\(port)"] + login + words).output
    }
}
