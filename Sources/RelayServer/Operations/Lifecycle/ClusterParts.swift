// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import TLSTransport
import WSProtocol

/// What a node has of its cluster by way of Redis. Nothing is connected before ``ClusterRouting/start(at:_:)``.
struct ClusterParts: Sendable {
    let node: NodeID
    let incarnation: Incarnation
    let users: RedisUserDirectory
    let routing: ClusterRouting

    /// - Parameters:
    ///   - local: users this node had before it joined a cluster: those that the cluster does not have are written there.
    ///   - imported: called once all of them are there.
    ///   - tickets: the keys that the node's TLS contexts use.
    ///   - loop: where the connections to Redis live.
    /// - Throws: ``OperatorError`` when a file cannot be used.
    init(
        _ settings: ClusterConfiguration, configuration: ServerConfiguration, local: UserRegistry = UserRegistry(),
        imported: @escaping @Sendable () -> Void = {}, tickets: TicketKeys, times: RoutingTimes = RoutingTimes(),
        loop: any EventLoop, logger: Logger
    ) throws(OperatorError) {
        node = settings.node
        incarnation = Incarnation.random()
        let store = ClusterStore(settings: try settings.redisSettings(), eventLoop: loop, logger: logger)
        let epoch = ClusterEpoch(settling: times.renewal + Defaults.Routing.writingAgain)
        let doorbell = Doorbell(node: node, incarnation: incarnation, store: store, logger: logger)
        users = RedisUserDirectory(
            store: store, epoch: epoch, mode: configuration.registration, local: Array(local.users.values),
            imported: imported, changed: { doorbell.ringAll(.user($0)) }
        )
        let shared = try settings.secret().map {
            SharedTickets(store: store, secret: $0, keys: tickets, logger: logger)
        }
        routing = ClusterRouting(
            place: ClusterRouting.Place(node: node, incarnation: incarnation), store: store, doorbell: doorbell,
            epoch: epoch, users: users, tickets: shared, times: times, logger: logger
        )
    }
}
