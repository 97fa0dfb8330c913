// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

@testable import RedisTransport

/// A real redis-server on a port of its own that keeps nothing. It ends when this object goes away.
final class RedisServer: Sendable {
    let port: Int
    private let directory: TemporaryDirectory
    private let options: [String]
    private let usesTLS: Bool
    private let process = Mutex<ChildProcess?>(nil)

    /// - Parameter options: more of redis-server's, such as `--requirepass`, `word`.
    init(_ options: [String] = [], usesTLS: Bool = false) async throws {
        directory = try TemporaryDirectory()
        self.options = options
        self.usesTLS = usesTLS
        port = try await Self.freePort()
        try await start()
    }

    deinit { process.withLock { $0?.signal(SIGKILL) } }

    /// A port that nobody listens on.
    static func freePort() async throws -> Int {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        try await listener.close()
        return port
    }

    /// Starts it, again on the same port and without data; returns once it takes connections.
    func start() async throws {
        let ports = usesTLS ? ["--port", "0", "--tls-port", "\(port)"] : ["--port", "\(port)"]
        let child = try ChildProcess(
            "redis-server",
            ports + ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory.path] + options)
        process.withLock { $0 = child }
        try await child.wait(for: "Ready to accept connections")
    }

    func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }

    /// Ends it as a crash would.
    func kill() async throws {
        let child = process.withLock { $0 }
        child?.signal(SIGKILL)
        try await child?.exitStatus()
    }

    /// What redis-cli prints for a command.
    @discardableResult
    func command(_ words: String..., password: String? = nil) async throws -> String {
        let login = password.map { ["--no-auth-warning", "-a", $0] } ?? []
        let result = try await ChildProcess.run("redis-cli", ["-p", "\(port)"] + login + words)
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// How to reach it, with times that keep tests short.
    func settings(login: String = "", database: Int = 0) throws -> RedisSettings {
        try .testing("redis://\(login)127.0.0.1:\(port)/\(database)")
    }
}

extension RedisSettings {
    /// Settings with short pauses. Times that must not pass by accident on a slow machine stay long.
    static func testing(_ url: String) throws -> RedisSettings {
        var settings = try RedisSettings(url: RedisURL(url))
        settings.backOff = RedisBackOff(first: .milliseconds(5), longest: .milliseconds(40))
        settings.connectTimeout = .seconds(10)
        settings.handshakeTimeout = .seconds(10)
        settings.subscribeTimeout = .seconds(10)
        return settings
    }
}
