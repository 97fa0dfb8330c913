// SPDX-License-Identifier: Apache-2.0

/// How a node stands with the others.
struct ClusterStatus: Hashable, Sendable, Codable {
    /// This node's id.
    var node: String
    /// Whether Redis is connected, and whether this node's place in it stands.
    var redis: Bool
    var joined: Bool
    /// Whether that place has stood at any time since the start.
    var hasJoined: Bool
    /// Other nodes that are alive.
    var nodes: Int
    /// Nodes this one has a link to or from.
    var links: Int
    /// How often a node was lost, and a certificate refused, since the start.
    var lost: UInt64
    var refused: UInt64
    /// Whether doorbells are heard, and how many of this node's nobody answered.
    var listening = false
    var bellsLost = 0
    /// What stood in Redis, or was rung, and meant nothing: damaged, stale in its form, or forged.
    var ignored = 0
}
