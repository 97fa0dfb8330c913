// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
package import RedisTransport
package import RelayNode
package import TLSTransport
package import TransferBroker
package import WSProtocol

/// What a node has of its cluster by way of Redis. Nothing is connected before ``ClusterRouting/start(at:_:)``.
package struct ClusterParts: Sendable {
    package let node: NodeID
    package let incarnation: Incarnation
    package let users: RedisUserDirectory
    package let routing: ClusterRouting
    private let store: ClusterStore

    /// How Redis has answered so far.
    package var redis: RedisFigures { store.redis }

    /// - Parameters:
    ///   - secret: what ticket keys are sealed, and users' records authenticated, with.
    ///   - local: users this node had before it joined a cluster: those that the cluster does not have are written
    ///     there.
    ///   - imported: called once all of them are there.
    ///   - tickets: the keys that the node's TLS contexts use.
    ///   - loop: where the connections to Redis live.
    package init(
        node: NodeID, redis: RedisSettings, secret: ClusterSecret, registration: ServerMessage.Registration,
        local: UserRegistry = UserRegistry(), imported: @escaping @Sendable () -> Void, tickets: TicketKeys,
        timing: RoutingTiming = RoutingTiming(), loop: any EventLoop, logger: Logger
    ) {
        self.node = node
        incarnation = Incarnation.random()
        let store = ClusterStore(settings: redis, eventLoop: loop, logger: logger)
        self.store = store
        let epoch = ClusterEpoch(settling: timing.renewal + Defaults.Routing.writingAgain)
        store.observeReplacement { epoch.mayLack(now: .now()) }
        let doorbell = Doorbell(node: node, incarnation: incarnation, store: store, logger: logger)
        users = RedisUserDirectory(
            store: store, secret: secret, epoch: epoch, logger: logger, mode: registration,
            local: local, imported: imported, changed: { doorbell.notifyAll(.user($0)) }
        )
        let shared = SharedTickets(store: store, secret: secret, keys: tickets, logger: logger)
        routing = ClusterRouting(
            instance: NodeInstance(node: node, incarnation: incarnation), store: store, doorbell: doorbell,
            epoch: epoch, users: users, tickets: shared, timing: timing, logger: logger
        )
    }
}
