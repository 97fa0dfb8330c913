// SPDX-License-Identifier: Apache-2.0

/// Figures about routing, for `status` and metrics.
struct RoutingStatus: Hashable, Sendable {
    /// Whether Redis is reachable now.
    var isConnected = false
    /// Whether the node's place in Redis is its own.
    var isJoined = false
    /// Whether it has been since the start.
    var hasJoined = false
    /// Other nodes that are alive.
    var nodes = 0
    /// Names that receive here, names that have offers here, transfers and unused tokens whose home is here.
    var receiving = 0
    var waiting = 0
    var homes = 0
    var tokens = 0
    /// What stood in Redis and meant nothing.
    var ignored = 0
    var doorbell = Doorbell.Status()
}
