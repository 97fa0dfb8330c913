// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import RedisTransport
import Synchronization
import TestSupport

/// A real redis-server on a port of its own that keeps nothing, and a connection to it. It ends with this object.
final class TestRedis: Sendable {
    let port: Int
    private let directory: TestSupport.TemporaryDirectory
    private let options: [String]
    private let process = Mutex<ChildProcess?>(nil)

    /// - Parameter starts: whether it runs at once; otherwise `start` has to be called.
    init(_ options: [String] = [], starts: Bool = true) async throws {
        directory = try TestSupport.TemporaryDirectory()
        self.options = options
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        port = listener.localAddress?.port ?? 0
        try await listener.close()
        if starts { try await start() }
    }

    deinit { process.withLock { $0?.signal(SIGKILL) } }

    /// Starts it, again on the same port and without data; returns once it takes connections.
    func start() async throws {
        let child = try ChildProcess(
            "redis-server",
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory.path]
                + options)
        process.withLock { $0 = child }
        try await child.wait(for: "Ready to accept connections")
    }

    /// Ends it as a crash would.
    func kill() async throws {
        let child = process.withLock { $0 }
        child?.signal(SIGKILL)
        try await child?.exitStatus()
    }

    func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }

    /// The lines redis-cli prints for a command.
    @discardableResult
    func command(_ words: String...) async throws -> [String] {
        let result = try await ChildProcess.run("redis-cli", ["-p", "\(port)"] + words)
        return result.output.split(separator: "\n").map(String.init)
    }

    /// All keys.
    func keys() async throws -> Set<String> { Set(try await command("--scan")) }

    /// Everything there is, as text.
    func contents() async throws -> String {
        var text = ""
        for key in try await keys().sorted() {
            let kind = try await command("TYPE", key).first
            let words =
                switch kind {
                case "set": ["SMEMBERS", key]
                case "zset": ["ZRANGE", key, "0", "-1", "WITHSCORES"]
                default: ["GET", key]
                }
            let result = try await ChildProcess.run("redis-cli", ["-p", "\(port)"] + words)
            text += "\(key) = \(result.output)"
        }
        return text
    }
}

/// Waits until something holds that nobody announces.
func eventually(
    _ what: String, seconds: Int64 = 30, _ condition: @escaping @Sendable () async throws -> Bool
) async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let end = NIODeadline.now() + .seconds(seconds)
    while try await !condition() {
        guard NIODeadline.now() < end else { throw InVain(description: "waited in vain for \(what)") }
        try await loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
    }
}

/// A test waited in vain.
struct InVain: Error, CustomStringConvertible {
    let description: String
}
