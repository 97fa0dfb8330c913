// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// Puts one node together: who keeps the transfers, the byte path, the listeners in front of both, and the other nodes.
enum ServerComposition {
    /// Makes the parts, binds the listeners and joins the cluster.
    /// - Throws: ``OperatorError`` when an address cannot be bound, or the cluster does not want this node.
    static func compose(_ context: ServerContext) async throws -> ServerParts {
        let (admission, reports, cluster) = (context.admission, context.reports, context.cluster)
        let streams = StreamTable()
        let broker = BrokerService(
            node: cluster?.id ?? .alone, cluster: cluster?.cluster ?? NoCluster(),
            limits: Defaults.Broker.makeLimits(address: context.configuration.addressLimit.holding), streams: streams,
            reports: reports, logger: context.logger
        )
        streams.onEmptied { [weak broker] in broker?.streamsEmptied() }
        broker.startSweeping(on: context.group.next())
        let budget = context.configuration.memoryLimit.budget
        MemoryWatch.start(budget, on: context.group.next(), logger: context.logger) { [weak broker] pressure in
            admission.memoryChanged(pressure)
            broker?.memoryChanged(pressure)
        }
        let services = try services(context, broker, streams)
        var parts = ServerParts(
            listeners: [], broker: broker, beginDrain: { admission.beginDrain() },
            whenEmpty: { admission.whenEmpty($0) }
        )
        parts.cutStreams = { await streams.abortEverything(code: .draining) }
        parts.streamCounts = { streams.counts }
        parts.brokerStatus = { broker.status }
        parts.openConnections = { admission.connections }
        parts.limitCounts = { reports.counts }
        try await bind(&parts, context, services)
        if let cluster { try await join(cluster, &parts, context, services, broker) }
        let open = context.accepts.openDescriptors?.now ?? 0
        admission.reserve(open + Defaults.Operations.descriptorReserve)
        return parts
    }

    private static func services(
        _ context: ServerContext, _ broker: BrokerService, _ streams: StreamTable
    ) throws -> ConnectionServices {
        guard let agent = Label(rawValue: "relay-server/\(ProgramVersion.current)") else {
            throw OperatorError(.configuration, "the program's version is not printable")
        }
        let control = ControlServices(
            broker: broker, directory: context.users, registration: context.configuration.registration,
            agent: agent, logger: context.logger,
            budgets: MessageBudgets(address: context.configuration.addressLimit.messages),
            unread: UnreadBytes(limitOfAddress: context.configuration.addressLimit.unreadBytes),
            newNames: NewNames(limit: context.configuration.addressLimit.newNames), reports: context.reports
        )
        return ConnectionServices(
            transfers: broker, streams: streams, node: context.cluster?.id ?? .alone,
            connector: context.cluster?.connector, admission: context.admission,
            control: ControlPipeline(services: control), reports: context.reports, logger: context.logger,
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

    /// Takes this node's place in its cluster.
    private static func join(
        _ cluster: ClusterMember, _ parts: inout ServerParts, _ context: ServerContext, _ services: ConnectionServices,
        _ broker: BrokerService
    ) async throws {
        var cluster = cluster
        try await cluster.join(context, services, broker)
        let member = cluster
        parts.clusterStatus = { member.status }
        parts.leaveCluster = { await member.leave() }
        // The other nodes take what comes from now on, and balancers notice a closed port sooner than anything else.
        let (admission, listeners) = (services.admission, parts.listeners)
        parts.beginDrain = {
            admission.beginDrain()
            Task { for listener in listeners { try? await listener.close() } }
        }
    }
}

extension RelayListener: BoundListener {}

extension BrokerService: Drainable {}
