// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// Makes the parts of a server, and what holds them together.
struct ServerComposition: Sendable {
    let parts: ServerParts
    let coordinator: DrainCoordinator
    let figures: ServerFigures
    let reloader: Reloader
    let handover: HandoverServer
    let certificates: CertificateWatch

    /// Makes the parts and binds their addresses. Nothing is accepted yet, and no other node knows of this one.
    /// - Parameter drainTimeout: how long running transfers are given once the server is told to stop.
    /// - Throws: ``OperatorError`` when an address cannot be bound.
    init(_ context: ServerContext, _ directory: StateDirectory, drainTimeout: TimeAmount) async throws(OperatorError) {
        let transfers = TransferService(context)
        certificates = CertificateWatch(certificates: context.certificates, logger: context.logger)
        let services = try Self.services(context, transfers)
        let listeners = try await ClientListeners.bind(context, services)
        let coordinator = DrainCoordinator(
            transfers, closing: context.cluster == nil ? nil : listeners, loop: context.group.any(),
            timeout: drainTimeout, logger: context.logger
        )
        let reloader = Self.reloader(context, transfers, certificates)
        var figures = ServerFigures(context, transfers, listeners, coordinator, reloader)
        let metrics = try await MetricsListener.bind(
            at: context.configuration.metricsListen, context.inherited, group: context.group, source: figures,
            accepts: context.accepts, logger: context.logger
        )
        figures.metricsListen = metrics?.address?.hostAndPort
        let handover = Replaceable<HandoverServer?>(nil)
        let responder = AdminResponder(
            users: context.users,
            server: RunningServer(
                figures: figures, coordinator: coordinator, transfers: transfers, reloader: reloader, handover: handover
            ),
            node: NodeOperations(
                broker: transfers.broker, streams: transfers.streams, limits: transfers.limits,
                traffic: transfers.traffic
            ),
            others: context.cluster?.others, audit: AuditLog(directory: directory, logger: context.logger)
        )
        // What operators lay down on other nodes.
        context.cluster?.observeAccounts { name, account in transfers.limits.learned(name, account.limits) }
        let admin = try await AdminServer.bind(
            in: directory, group: context.group, responder: responder, accepts: context.accepts,
            inherited: context.inherited
        )
        // Every listener has what is its own by now. A port that is not configured any more is closed: connections to
        // it would never be accepted.
        context.inherited.closeRest()
        parts = ServerParts(
            metrics: metrics, admin: admin,
            cluster: context.cluster.map { ClusterMembership($0, context, services, transfers.broker, responder) },
            transfers: transfers, listeners: listeners
        )
        (self.coordinator, self.figures, self.reloader) = (coordinator, figures, reloader)
        let place = ServerPlace(
            parts: parts, coordinator: coordinator, users: context.users, traffic: context.traffic,
            loop: context.group.any())
        self.handover = HandoverServer(directory, place, manager: context.manager, logger: context.logger)
        handover.replace(with: self.handover)
    }

    private static func reloading(
        _ member: ClusterMember
    ) -> @Sendable (ServerConfiguration) throws(OperatorError) -> @Sendable () -> Void {
        { (configuration) throws(OperatorError) in try member.reload(configuration) }
    }

    private static func reloader(
        _ context: ServerContext, _ transfers: TransferService, _ watch: CertificateWatch
    ) -> Reloader {
        Reloader(
            context.configuration,
            Reloader.Targets(
                tls: context.tls, certificates: context.certificates, tickets: context.tickets,
                node: context.cluster.map(Self.reloading),
                limits: { transfers.apply($0) }, level: context.log.level
            ),
            logger: context.logger, read: context.read, changed: { watch.look() }
        )
    }

    private static func services(
        _ context: ServerContext, _ transfers: TransferService
    ) throws(OperatorError) -> ConnectionServices {
        guard let agent = Label(rawValue: "relay-server/\(ProgramVersion.current)") else {
            throw OperatorError(.configuration, "the program's version is not printable")
        }
        let control = ControlServices(
            broker: transfers.broker, directory: context.users, registration: context.configuration.registration,
            agent: agent, logger: context.logger,
            budgets: MessageBudgets(control: transfers.limits), unread: transfers.unread, newNames: transfers.newNames,
            limits: transfers.limits, traffic: transfers.traffic, reports: context.reports
        )
        return ConnectionServices(
            transfers: transfers.broker, streams: transfers.streams, node: context.cluster?.id ?? .alone,
            connector: context.cluster?.connector, traffic: transfers.traffic, admission: context.admission,
            control: ControlPipeline(services: control), reports: context.reports, logger: context.logger,
            accepts: context.accepts,
            peers: TrustedPeers(
                sendingHeader: context.configuration.proxyProtocol, sendingField: context.configuration.trustedProxy
            ),
            site: Site(context.site), challenges: context.configuration.acmeDirectory,
            handshakes: context.handshakes
        )
    }
}

/// What the parts of a server are made from.
struct ServerContext: Sendable {
    let configuration: ServerConfiguration
    /// One event loop for each processor.
    let group: any EventLoopGroup
    /// One more, which accepts the connections of clients.
    let accepting: any EventLoopGroup
    let tls: Replaceable<TLSContext>
    let certificates: Replaceable<CertificateInventory>
    let users: any UserAdministration
    /// Where it is written down how much they move in a day.
    let traffic: any TrafficStore
    /// What the node has of its cluster; nil when it is the only one.
    let cluster: ClusterMember?
    /// What browsers are shown.
    var site: Site.Content {
        if let folder = configuration.site { return .folder(folder) }
        // After a reload the certificates are others.
        return .welcome { [certificates, configuration] in
            certificates.current.welcomePage(host: configuration.publicHost)
        }
    }
    /// Counts the connections.
    let admission: Admission
    /// Who is told of limits that are met.
    let reports: LimitReports
    let log: ServerLog
    /// How many descriptors the process may have.
    let descriptorLimit: Int
    /// What the listeners accept, and cannot accept.
    let accepts: AcceptWatch
    /// What session tickets are sealed with.
    let tickets: TicketKeys
    /// Sockets that another process has bound for this one.
    let inherited: InheritedSockets
    /// The service manager that has started this process, and wants to know how it is.
    let manager: ServiceManager
    /// The configuration as its sources say now.
    let read: @Sendable () throws(OperatorError) -> ServerConfiguration

    /// How the handshakes of clients ended.
    let handshakes = HandshakeCounts()
    /// How late the event loops are, and whether the clock was set.
    let loops: LoopWatch

    var logger: Logger { log.logger }
    var listenerLoops: ListenerLoops { ListenerLoops(accepting: accepting, connections: group) }
}
