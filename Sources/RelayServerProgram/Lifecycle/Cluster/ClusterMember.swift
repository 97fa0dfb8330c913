// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayCluster
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// This node as one of a cluster: what it has of the cluster by way of Redis, and then its place among the others.
struct ClusterMember: Sendable {
    private let settings: ClusterConfiguration
    private let parts: ClusterParts
    private let node: ClusterNode
    private var listener: NodeListener?

    /// - Parameters:
    ///   - local: users this node had before it joined a cluster: those that the cluster does not have are written there.
    ///   - imported: called once all of them are there.
    /// - Throws: ``OperatorError`` when a file cannot be used.
    init(
        _ settings: ClusterConfiguration, configuration: ServerConfiguration, local: UserRegistry,
        imported: @escaping @Sendable () -> Void, tickets: TicketKeys, admission: Admission,
        group: any EventLoopGroup, logger: Logger
    ) throws(OperatorError) {
        self.settings = settings
        parts = ClusterParts(
            node: settings.node, redis: try settings.redisSettings(), secret: try settings.secret(),
            registration: configuration.registration, local: local, imported: imported, tickets: tickets,
            loop: group.next(), logger: logger
        )
        do {
            let identity = try NodeIdentity(
                id: parts.node, incarnation: parts.incarnation, authority: settings.authority,
                certificate: settings.certificate.chain, key: settings.certificate.key
            )
            node = ClusterNode(
                identity: identity, publicURL: configuration.publicURL.flatMap(PublicURL.init),
                routing: parts.routing, admission: admission, group: group, logger: logger
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// This node's name.
    var id: NodeID { node.identity.id }
    /// The users of the whole cluster.
    var users: any UserAdministration { parts.users }
    /// The other nodes, as sessions and transfers need them.
    var cluster: any Cluster { node }
    /// Makes connections to the other nodes.
    var connector: any NodeConnector { node }
    /// How this node stands with the others.
    var status: ClusterStatus { node.status }

    /// Listens for other nodes and takes this one's place among them.
    /// - Throws: ``OperatorError`` when the address cannot be bound, or the cluster does not want this node.
    mutating func join(
        _ context: ServerContext, _ services: ConnectionServices, _ broker: BrokerService
    ) async throws {
        let socketAddress = try settings.listen.resolved()
        let listener: NodeListener
        do {
            listener = try await NodeListener.bind(
                socketAddress, identity: node.identity, group: context.group, links: node.links,
                streams: NodeStreams(services: services), logger: context.logger, accepts: context.accepts,
                accepted: { services.admission.count($0) }
            )
        } catch {
            throw settings.listen.failure(error)
        }
        self.listener = listener
        let address = settings.advertised(port: listener.address?.port ?? 0)
        try await node.start(at: address, ownsAddress: address.isExactly(listener.address), broker)
        if let stranger = await node.strangerToAll() {
            await node.stop()
            throw OperatorError(
                .configuration,
                "\(settings.authority): the nodes of this Redis (\(stranger)) have certificates of another authority: set "
                    + "--cluster-ca, --cluster-cert and --cluster-key to files of theirs"
            )
        }
    }

    /// Leaves the cluster; once nothing goes on here any more.
    func leave() async {
        await node.stop()
        try? await listener?.close()
    }
}
