// SPDX-License-Identifier: Apache-2.0

private import Foundation

/// A Redis, a replica of it, and three Sentinels that watch them as `main`. They end when this object goes away.
package final class RedisSentinels: Sendable {
    package let first: RedisServer
    package let second: RedisServer
    /// The Sentinels' ports.
    package let ports: [Int]
    private let reserved: [ReservedPort]
    private let processes: [ChildProcess]
    private let directory: TemporaryDirectory

    /// - Parameters:
    ///   - password: what the Sentinels want.
    ///   - patience: how long the master may be silent, in milliseconds: a busy machine is no reason for a failover.
    package init(password: String? = nil, patience: Int = 60_000) async throws {
        directory = try TemporaryDirectory()
        first = try await RedisServer()
        second = try await RedisServer(["--replicaof", "127.0.0.1", "\(first.port)"])
        reserved = try (0..<3).map { _ in try ReservedPort() }
        ports = reserved.map(\.number)
        var processes: [ChildProcess] = []
        for port in ports {
            let settings = """
                port \(port)
                bind 127.0.0.1
                dir \(directory.path)
                sentinel monitor main 127.0.0.1 \(first.port) 2
                sentinel down-after-milliseconds main \(patience)
                sentinel failover-timeout main 2000
                \(password.map { "requirepass \($0)\nsentinel sentinel-pass \($0)" } ?? "")

                """
            let file = try directory.write(Data(settings.utf8), to: "\(port).conf")
            let child = try ChildProcess(RedisServer.program, [file, "--sentinel"])
            processes.append(child)
            try await child.wait(for: "Sentinel ID is")
        }
        self.processes = processes
        for port in ports {
            // They find each other, and the replica, by themselves.
            try await eventually("the sentinel \(port) knows all the others") {
                let told = try await self.output(port, ["SENTINEL", "MASTER", "main"], password)
                let fields = told.split(separator: "\n").map(String.init)
                func value(_ name: String) -> String? {
                    fields.firstIndex(of: name).flatMap { $0 + 1 < fields.count ? fields[$0 + 1] : nil }
                }
                return value("num-slaves") == "1" && value("num-other-sentinels") == "2"
            }
        }
    }

    deinit { for each in processes { each.signal(SIGKILL) } }

    /// Where clients find the master.
    package var url: String {
        "redis+sentinel://" + ports.map { "127.0.0.1:\($0)" }.joined(separator: ",") + "/main"
    }

    /// Sends a signal to the Sentinel of this number.
    package func signal(_ number: Int32, to sentinel: Int) { processes[sentinel].signal(number) }

    /// What redis-cli prints for a command to the Sentinel of this number.
    @discardableResult
    package func command(_ sentinel: Int, _ words: String...) async throws -> String {
        try await output(ports[sentinel], words, nil)
    }

    private func output(_ port: Int, _ words: [String], _ password: String?) async throws -> String {
        let login = password.map { ["--no-auth-warning", "-a", $0] } ?? []
        return try await ChildProcess.run("redis-cli", ["-p", "\(port)"] + login + words).output
    }
}
