// SPDX-License-Identifier: Apache-2.0

/// Figures about routing, for `status` and metrics.
package struct RoutingStatus: Hashable, Sendable {
    /// Whether Redis is reachable now.
    var isConnected = false
    /// Whether the node's place in Redis is its own.
    var isJoined = false
    /// Whether it has been since the start.
    package var hasJoined = false
    /// Other nodes that are alive.
    package var nodes = 0
    /// Names that receive here, names that have offers here, transfers and unused tokens whose home is here.
    package var receiving = 0
    package var waiting = 0
    var homes = 0
    var tokens = 0
    /// What stood in Redis and meant nothing.
    package var ignored = 0
    var doorbell = Doorbell.Status()
}
