// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import TransferBroker

/// The parts of a relay-server that serves. Each is made before the first one starts; addresses are bound by then.
struct ServerParts: Sendable {
    /// Nil when metrics are served nowhere.
    let metrics: MetricsListener?
    let admin: AdminServer
    /// Nil for the only node.
    let cluster: ClusterMembership?
    let transfers: TransferService
    let listeners: ClientListeners

    /// The one order of start and stop.
    ///
    /// Start, from the first to the last: operators can look at the server, the node takes its place in the
    /// cluster, and only then clients come in. Stop, from the last to the first: no client comes in any more, those that
    /// are there are sent away, the other nodes hear of it as long as there are links to them, and the node leaves.
    var startOrder: StartOrder {
        let parts: [(any ServerPart)?] = [metrics, admin, cluster, transfers, listeners]
        return StartOrder(parts.compactMap(\.self))
    }
}

extension MetricsListener: ServerPart {}

extension AdminServer: ServerPart {}
