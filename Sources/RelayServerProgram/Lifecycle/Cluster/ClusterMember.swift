// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayCluster
import RelayNode
import ServerSystem
import StreamRelay
import Synchronization
import TLSTransport
import TransferBroker
import WSProtocol

/// This node as one of a cluster: what the rest of the node needs of the others.
struct ClusterMember: Sendable {
    fileprivate let settings: ClusterConfiguration
    private let parts: ClusterParts
    fileprivate let node: ClusterNode

    /// - Parameters:
    ///   - local: users this node had before it joined a cluster: those that the cluster does not have are written
    ///     there.
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

    /// Reads the node's certificate of `configuration`; what it returns puts it in place.
    /// - Throws: ``OperatorError`` when the other nodes would refuse it.
    func reload(_ configuration: ServerConfiguration) throws(OperatorError) -> @Sendable () -> Void {
        guard let new = configuration.cluster else { return {} }
        try new.checkFiles()
        do {
            let proofs = try NodeIdentity.Proofs(
                authority: new.authority, certificate: new.certificate.chain, key: new.certificate.key)
            return { [node] in node.identity.replaceProofs(with: proofs) }
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// This node's name.
    var id: NodeID { node.identity.id }
    /// The users of the whole cluster.
    var users: any UserAdministration { parts.users }
    /// Where it is counted how much they move in a day.
    var traffic: any TrafficStore { parts.users }
    /// Tells `observer` what operators lay down about users, as it is found to have changed.
    func observeAccounts(_ observer: @escaping @Sendable (PeerName, UserAccount) -> Void) {
        node.observeAccounts(observer)
    }
    /// The other nodes, as sessions and transfers need them.
    var cluster: any Cluster { node }
    /// Makes connections to the other nodes.
    var connector: any NodeConnector { node }
    /// The other nodes, as operators ask them.
    var others: OtherNodes {
        OtherNodes(known: { [node] in await node.others() }, send: { [node] in try await node.ask($0, $1) })
    }
    /// How this node stands with the others.
    var status: ClusterStatus { node.status }
    /// How Redis has answered so far.
    var redis: RedisFigures { parts.redis }
}

/// This node's place in its cluster, from the moment at which the others may know of it.
final class ClusterMembership: ServerPart {
    private let member: ClusterMember
    private let context: ServerContext
    private let services: ConnectionServices
    private let broker: BrokerService
    private let responder: AdminResponder
    private let listener = Mutex<NodeListener?>(nil)

    /// - Parameter responder: answers what operators ask of this node at other nodes.
    init(
        _ member: ClusterMember, _ context: ServerContext, _ services: ConnectionServices, _ broker: BrokerService,
        _ responder: AdminResponder
    ) {
        self.responder = responder
        self.member = member
        self.context = context
        self.services = services
        self.broker = broker
    }

    /// Listens for other nodes and takes this one's place among them.
    /// - Throws: ``OperatorError`` when the address cannot be bound, or the cluster does not want this node.
    func start() async throws {
        let (settings, node) = (member.settings, member.node)
        let listener = try await settings.listen.bind { [services, context, responder] socketAddress in
            try await NodeListener.bind(
                socketAddress, identity: node.identity, group: context.group, links: node.links,
                streams: NodeStreams(services: services),
                inquiries: { await responder.answer(inquiry: $0, of: $1) }, admission: services.admission,
                logger: context.logger, accepts: context.accepts
            )
        }
        do {
            let address = settings.advertised(port: listener.address?.port ?? 0)
            try await node.start(at: address, ownsAddress: address.isExactly(listener.address), broker)
            if let other = await node.memberOfAnotherCluster() {
                await node.stop()
                throw OperatorError(
                    .configuration,
                    "\(settings.authority): the nodes of this Redis (\(other)) have certificates of another "
                        + "authority: set --cluster-ca, --cluster-cert and --cluster-key to files of theirs"
                )
            }
        } catch {
            try? await listener.close()
            throw error
        }
        self.listener.withLock { $0 = listener }
    }

    /// Leaves the cluster.
    func stop() async {
        await member.node.stop()
        try? await listener.withLock { $0 }?.close()
    }
}
