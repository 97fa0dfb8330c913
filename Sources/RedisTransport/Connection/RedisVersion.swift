// SPDX-License-Identifier: Apache-2.0

/// Which server is at the other end.
package struct RedisVersion: Hashable, Sendable, CustomStringConvertible {
    /// `Redis` or `Valkey`.
    package let product: String
    /// The version as the server writes it, printable.
    package let text: String
    /// Whether this module works with it.
    let isSupported: Bool
    /// How it runs.
    let mode: Mode
    /// Which process it is: another one may have other contents. Empty if it does not say.
    package let process: String
    /// Whether channels can be of one slot: Redis 7.0 and newer, and any Valkey.
    let hasShardedChannels: Bool

    /// How a server runs.
    package enum Mode: Hashable, Sendable {
        /// By itself, or with replicas.
        case standalone
        /// As a node of a Redis Cluster.
        case cluster
        /// It is no Redis but a Sentinel.
        case sentinel
    }

    /// The oldest Redis that works: the first with ACL rules for channels. Valkey began with version 7.2.
    package static let oldest = "6.2"

    /// Reads the reply to `INFO server`; nil if it names no version.
    package init?(info: String) {
        let fields = Self.fields(info)
        mode =
            switch fields["redis_mode"] ?? fields["server_mode"] {
            case "cluster": .cluster
            case "sentinel": .sentinel
            default: .standalone
            }
        process = RedisError.printable(String(fields["run_id"] ?? ""))
        if let version = fields["valkey_version"] {
            (product, text, isSupported) = ("Valkey", RedisError.printable(String(version)), true)
            hasShardedChannels = true
            return
        }
        guard let version = fields["redis_version"] else { return nil }
        let parts = version.split(separator: ".", omittingEmptySubsequences: false).prefix(2).map { Int($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        (product, text) = ("Redis", RedisError.printable(String(version)))
        isSupported = (major, minor) >= (6, 2)
        hasShardedChannels = major >= 7
    }

    /// The lines of a reply to `INFO`.
    static func fields(_ info: String) -> [Substring: Substring] {
        var fields: [Substring: Substring] = [:]
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
        return fields
    }

    /// Product and version.
    package var description: String { "\(product) \(text)" }
}
