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
    /// cluster, and only then clients come in. Stop, from the last to the first: no client comes in any more, those
    /// that are there are sent away, the other nodes hear of it as long as there are links to them, and the node
    /// leaves.
    var startOrder: StartOrder {
        let parts: [(any ServerPart)?] = [metrics, admin, cluster, transfers, listeners]
        return StartOrder(parts.compactMap(\.self))
    }
}

extension MetricsListener: ServerPart {}

extension AdminServer: ServerPart {}

/// A part of the server that starts, and later stops.
protocol ServerPart: Sendable {
    /// Returns once the part does its work. When it throws, nothing of it is left that would have to be stopped.
    func start() async throws

    /// Returns once the part has ended its work. Called once, after a ``start()`` that has returned.
    func stop() async
}

/// Parts that start one after the other, and stop in the reverse order.
struct StartOrder: Sendable {
    let parts: [any ServerPart]

    /// - Parameter parts: in the order in which they start; each may rely on those before it for as long as it runs.
    init(_ parts: [any ServerPart]) { self.parts = parts }

    /// Starts the parts, runs `body`, and stops the parts. When a part cannot start, or `body` throws, those that have
    /// started are stopped before this throws as well.
    func run(_ body: () async throws -> Void) async throws {
        var started: [any ServerPart] = []
        let result: Result<Void, any Error>
        do {
            for part in parts {
                try await part.start()
                started.append(part)
            }
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        for part in started.reversed() { await part.stop() }
        try result.get()
    }
}
