// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import WSProtocol

/// Puts one node together: who keeps the transfers, the byte path, the listeners in front of both, and the other nodes.
enum ServerComposition {
    /// Makes the parts, binds the listeners and joins the cluster.
    /// - Throws: ``OperatorError`` when an address cannot be bound, or the cluster does not want this node.
    static func compose(_ context: ServerContext) async throws -> ServerParts {
        let reports = LimitReports(logger: context.logger)
        let addresses = context.configuration.addressLimit
        let admission = Admission(
            descriptorLimit: context.descriptorLimit, strangersPerAddress: addresses.strangers, reports: reports
        )
        let cluster = try clusterNode(context, admission)
        let streams = StreamTable()
        let exchange = ExchangeService(
            node: cluster?.identity.id ?? .alone, cluster: cluster ?? NoCluster(),
            limits: Defaults.Exchange.makeLimits(addresses), streams: streams, reports: reports, logger: context.logger
        )
        streams.onEmptied { [weak exchange] in exchange?.streamsEmptied() }
        exchange.startSweeping(on: context.group.next())
        let budget = context.configuration.memoryLimit.budget
        MemoryWatch.start(budget, on: context.group.next(), logger: context.logger) { [weak exchange] pressure in
            admission.memoryChanged(pressure)
            exchange?.memoryChanged(pressure)
        }
        let services = try services(context, admission, reports, exchange, streams, cluster)
        var parts = ServerParts(
            listeners: [], exchange: exchange, beginDrain: { admission.beginDrain() },
            whenEmpty: { admission.whenEmpty($0) }
        )
        parts.cutStreams = { await streams.abortEverything(code: .draining) }
        parts.streamCounts = { streams.counts }
        parts.exchangeStatus = { exchange.status }
        parts.openConnections = { admission.connections }
        parts.limitCounts = { reports.counts }
        try await bind(&parts, context, services)
        if let cluster { try await join(cluster, &parts, context, services, exchange) }
        let open = context.accepts.openDescriptors?.now ?? 0
        admission.reserve(open + Defaults.Connection.descriptorReserve)
        return parts
    }

    private static func services(
        _ context: ServerContext, _ admission: Admission, _ reports: LimitReports, _ exchange: ExchangeService,
        _ streams: StreamTable, _ cluster: ClusterNode?
    ) throws -> ConnectionServices {
        guard let agent = Label(rawValue: "relay-server/\(ProgramVersion.current)") else {
            throw OperatorError(.configuration, "the program's version is not printable")
        }
        let control = ControlServices(
            exchange: exchange, directory: context.users, registration: context.configuration.registration,
            agent: agent, logger: context.logger,
            budgets: MessageBudgets(address: context.configuration.addressLimit.messages),
            unread: UnreadBytes(limitOfAddress: context.configuration.addressLimit.unreadBytes), reports: reports
        )
        return ConnectionServices(
            transfers: exchange, streams: streams, node: cluster?.identity.id ?? .alone, connector: cluster,
            admission: admission, control: ControlPipeline(services: control), reports: reports, logger: context.logger,
            accepts: context.accepts,
            peers: TrustedPeers(
                sendingHeader: context.configuration.proxyProtocol, sendingField: context.configuration.trustedProxy
            )
        )
    }

    private static func bind(
        _ parts: inout ServerParts, _ context: ServerContext, _ services: ConnectionServices
    ) async throws {
        for address in context.configuration.listen {
            let socketAddress = try address.resolved()
            do {
                parts.listeners.append(
                    try await RelayListener.bind(
                        socketAddress, tls: context.tls, group: context.group, services: services
                    )
                )
            } catch {
                throw address.failure(error)
            }
        }
        guard let address = context.configuration.httpListen else { return }
        let port = context.configuration.publicPort ?? parts.listeners.first?.address?.port ?? 443
        let publicHost = context.configuration.publicHost.map { TLSServerName(host: $0) }
        let names = RedirectNames(names: context.certificates.names + [publicHost].compactMap(\.self), port: port)
        let socketAddress = try address.resolved()
        do {
            parts.redirects.append(
                try await RelayListener.bindRedirect(
                    socketAddress, to: names, group: context.group, services: services
                )
            )
        } catch {
            throw address.failure(error)
        }
    }

    // MARK: - The other nodes

    private static func clusterNode(
        _ context: ServerContext, _ admission: Admission
    ) throws(OperatorError) -> ClusterNode? {
        guard let settings = context.configuration.cluster, let parts = context.cluster else { return nil }
        do {
            let identity = try NodeIdentity(
                id: parts.node, incarnation: parts.incarnation, authority: settings.authority,
                certificate: settings.certificate.chain, key: settings.certificate.key
            )
            return ClusterNode(
                identity: identity, publicURL: context.configuration.publicURL.flatMap(PublicURL.init),
                routing: parts.routing, admission: admission, group: context.group, logger: context.logger
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// Listens for other nodes and takes this one's place among them.
    private static func join(
        _ cluster: ClusterNode, _ parts: inout ServerParts, _ context: ServerContext, _ services: ConnectionServices,
        _ exchange: ExchangeService
    ) async throws {
        guard let settings = context.configuration.cluster else { return }
        let socketAddress = try settings.listen.resolved()
        let listener: NodeListener
        do {
            listener = try await NodeListener.bind(
                socketAddress, identity: cluster.identity, group: context.group, links: cluster.links,
                streams: NodeStreams(services: services), logger: context.logger, accepts: context.accepts,
                accepted: { services.admission.count($0) }
            )
        } catch {
            throw settings.listen.failure(error)
        }
        let address = settings.advertised(port: listener.address?.port ?? 0)
        try await cluster.start(at: address, ownsAddress: address.isExactly(listener.address), exchange)
        if let stranger = await cluster.strangerToAll() {
            await cluster.stop()
            throw OperatorError(
                .configuration,
                "\(settings.authority): the nodes of this Redis (\(stranger)) have certificates of another authority: set "
                    + "--cluster-ca, --cluster-cert and --cluster-key to files of theirs"
            )
        }
        parts.clusterStatus = { cluster.status }
        parts.leaveCluster = {
            await cluster.stop()
            try? await listener.close()
        }
        // The other nodes take what comes from now on, and balancers notice a closed port sooner than anything else.
        let (admission, listeners) = (services.admission, parts.listeners)
        parts.beginDrain = {
            admission.beginDrain()
            Task { for listener in listeners { try? await listener.close() } }
        }
    }
}

extension RelayListener: BoundListener {}

extension ExchangeService: Drainable {}
