// SPDX-License-Identifier: Apache-2.0

/// How a node stands with the others.
package struct ClusterStatus: Hashable, Sendable, Codable {
    /// This node's id.
    package var node: String
    /// Whether Redis is connected, and whether this node's place in it stands.
    package var redis: Bool
    package var joined: Bool
    /// Whether that place has stood at any time since the start.
    package var hasJoined: Bool
    /// Other nodes that are alive.
    package var nodes: Int
    /// Nodes this one has a link to or from.
    package var links: Int
    /// How often a node was lost, and a certificate refused, since the start.
    package var lost: UInt64
    package var refused: UInt64
    /// Whether doorbells are heard, and how many of this node's were not answered.
    package var listening = false
    package var bellsLost = 0
    /// What stood in Redis, or was rung, and meant nothing: damaged, stale in its form, or forged.
    package var ignored = 0

    package init(
        node: String, redis: Bool, joined: Bool, hasJoined: Bool, nodes: Int, links: Int, lost: UInt64,
        refused: UInt64, listening: Bool = false, bellsLost: Int = 0, ignored: Int = 0
    ) {
        self.node = node
        self.redis = redis
        self.joined = joined
        self.hasJoined = hasJoined
        self.nodes = nodes
        self.links = links
        self.lost = lost
        self.refused = refused
        self.listening = listening
        self.bellsLost = bellsLost
        self.ignored = ignored
    }
}
