// SPDX-License-Identifier: Apache-2.0

import RelayNode
import StreamRelay
import TransferBroker

/// The parts of a server that serves, as far as its start and its end need them.
struct ServerParts: Sendable {
    /// The listeners of the relay itself, over TLS.
    var listeners: [any BoundListener]
    /// The listeners of plain HTTP.
    var redirects: [any BoundListener] = []
    /// Who keeps sessions and transfers.
    var broker: any Drainable
    /// Refuses new control connections from now on. A node of a cluster takes no connections at all any more: the other
    /// nodes do.
    var beginDrain: @Sendable () -> Void
    /// Calls back once, as soon as no connection of any kind is open.
    var whenEmpty: @Sendable (_ callback: @escaping @Sendable () -> Void) -> Void
    /// Cuts the streams that still run, so that no end takes its part for the whole, and returns when that is done.
    var cutStreams: @Sendable () async -> Void = {}
    /// Leaves the cluster, if there is one; once nothing goes on here any more.
    var leaveCluster: @Sendable () async -> Void = {}
    /// How this node stands with the others; nil when there are none.
    var clusterStatus: @Sendable () -> ClusterStatus? = { nil }
    /// What the broker holds and has ended.
    var brokerStatus: @Sendable () -> BrokerStatus = { BrokerStatus() }
    /// Connections of clients, of any kind.
    var openConnections: @Sendable () -> Int = { 0 }
    /// Limits that were met, and refusals.
    var limitCounts: @Sendable () -> LimitReports.Counts = { LimitReports.Counts() }
    /// Streams that were joined here.
    var streamCounts: @Sendable () -> StreamCounts = { StreamCounts() }
}
