// SPDX-License-Identifier: Apache-2.0

private import Foundation

/// A Redis Cluster of three masters, each with as many replicas as asked for. They end when this object goes away.
package final class RedisClusterServers: Sendable {
    /// Masters first.
    package let servers: [RedisServer]
    private let buses: [ReservedPort]

    /// - Parameter replicas: of each master.
    package init(replicas: Int = 0) async throws {
        buses = try (0..<3 * (1 + replicas)).map { _ in try ReservedPort() }
        var servers: [RedisServer] = []
        for bus in buses {
            servers.append(
                try await RedisServer([
                    "--cluster-enabled", "yes", "--cluster-port", "\(bus.number)", "--cluster-node-timeout", "1500",
                    // Without this the slots that are left are refused with the others.
                    "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
                ]))
        }
        self.servers = servers
        let places = servers.map { "127.0.0.1:\($0.port)" }
        _ = try await ChildProcess.run(
            "redis-cli",
            ["--cluster", "create"] + places + ["--cluster-replicas", "\(replicas)", "--cluster-yes"])
        let expected = 3 * replicas
        for server in servers {
            try await eventually("all of the cluster is known") {
                let told = try await server.command("CLUSTER", "INFO")
                let replicas = try await server.command("CLUSTER", "NODES").split(separator: "\n")
                    .count { $0.contains("slave") }
                return told.contains("cluster_state:ok") && told.contains("cluster_slots_ok:16384")
                    && replicas == expected
            }
        }
    }

    /// The server that has the slot of `key`.
    package func owner(of key: String) async throws -> RedisServer {
        let slot = try await servers[0].command("CLUSTER", "KEYSLOT", key)
        for server in servers where try await role(of: server) == "master" {
            if try await ChildProcess.run(
                "redis-cli", ["-p", "\(server.port)", "EVAL", "return 1", "1", key]
            ).output.trimmingCharacters(in: .whitespacesAndNewlines) == "1" {
                return server
            }
        }
        throw InVain(description: "no server has the slot \(slot)")
    }

    /// `master` or `slave`; nothing for a server that is dead.
    package func role(of server: RedisServer) async throws -> String {
        try await server.command("ROLE").split(separator: "\n").first.map(String.init) ?? ""
    }

    /// Begins to move the slot of `key` from one server to another: keys that are not at the first one count as moved.
    package func beginMoving(_ key: String, from source: RedisServer, to target: RedisServer) async throws {
        let slot = try await source.command("CLUSTER", "KEYSLOT", key)
        try await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID"))
        try await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID"))
    }

    /// Moves one key of it.
    package func move(_ key: String, from source: RedisServer, to target: RedisServer) async throws {
        try await source.command("MIGRATE", "127.0.0.1", "\(target.port)", key, "0", "5000")
    }

    /// Moves what is left, and ends it.
    package func endMoving(_ key: String, from source: RedisServer, to target: RedisServer) async throws {
        let slot = try await source.command("CLUSTER", "KEYSLOT", key)
        while case let keys = try await source.command("CLUSTER", "GETKEYSINSLOT", slot, "100"), !keys.isEmpty {
            for key in keys.split(separator: "\n") { try await move(String(key), from: source, to: target) }
        }
        let owner = try await target.command("CLUSTER", "MYID")
        for server in [target, source] + servers where try await role(of: server) == "master" {
            try await server.command("CLUSTER", "SETSLOT", slot, "NODE", owner)
        }
    }
}
