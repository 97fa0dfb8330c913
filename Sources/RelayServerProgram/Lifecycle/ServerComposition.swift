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

    /// Makes the parts and binds their addresses. Nothing is accepted yet, and no other node knows of this one.
    /// - Parameter drainTimeout: how long running transfers are given once the server is told to stop.
    /// - Throws: ``OperatorError`` when an address cannot be bound.
    init(_ context: ServerContext, _ directory: StateDirectory, drainTimeout: TimeAmount) async throws(OperatorError) {
        let transfers = TransferService(context)
        let services = try Self.services(context, transfers)
        let listeners = try await ClientListeners.bind(context, services)
        let coordinator = DrainCoordinator(
            transfers, closing: context.cluster == nil ? nil : listeners, loop: context.group.any(),
            timeout: drainTimeout, logger: context.logger
        )
        var figures = ServerFigures(context, transfers, listeners, coordinator)
        let metrics = try await MetricsListener.bind(
            at: context.configuration.metricsListen, group: context.group, source: figures, accepts: context.accepts,
            logger: context.logger
        )
        figures.metricsListen = metrics?.address?.hostAndPort
        let responder = AdminResponder(
            users: context.users, status: { [figures] in await figures.status() },
            drain: { coordinator.drainRequested() }, nameRemoved: { transfers.broker.nameRemoved($0) }
        )
        let admin = try await AdminServer.bind(
            in: directory, group: context.group, responder: responder, accepts: context.accepts
        )
        parts = ServerParts(
            metrics: metrics, admin: admin,
            cluster: context.cluster.map { ClusterMembership($0, context, services, transfers.broker) },
            transfers: transfers, listeners: listeners
        )
        (self.coordinator, self.figures) = (coordinator, figures)
    }

    private static func services(
        _ context: ServerContext, _ transfers: TransferService
    ) throws(OperatorError) -> ConnectionServices {
        guard let agent = Label(rawValue: "relay-server/\(ProgramVersion.current)") else {
            throw OperatorError(.configuration, "the program's version is not printable")
        }
        let limit = context.configuration.addressLimit
        let control = ControlServices(
            broker: transfers.broker, directory: context.users, registration: context.configuration.registration,
            agent: agent, logger: context.logger, budgets: MessageBudgets(address: limit.messages),
            unread: UnreadBytes(limitOfAddress: limit.unreadBytes), newNames: NewNames(limit: limit.newNames),
            reports: context.reports
        )
        return ConnectionServices(
            transfers: transfers.broker, streams: transfers.streams, node: context.cluster?.id ?? .alone,
            connector: context.cluster?.connector, admission: context.admission,
            control: ControlPipeline(services: control), reports: context.reports, logger: context.logger,
            accepts: context.accepts,
            peers: TrustedPeers(
                sendingHeader: context.configuration.proxyProtocol, sendingField: context.configuration.trustedProxy
            )
        )
    }
}

/// What the parts of a server are made from.
struct ServerContext: Sendable {
    let configuration: ServerConfiguration
    /// One event loop for each processor.
    let group: any EventLoopGroup
    let tls: TLSContext
    let certificates: CertificateInventory
    let users: any UserAdministration
    /// What the node has of its cluster; nil when it is the only one.
    let cluster: ClusterMember?
    /// Counts the connections.
    let admission: Admission
    /// Who is told of limits that are met.
    let reports: LimitReports
    let logger: Logger
    /// How many descriptors the process may have.
    let descriptorLimit: Int
    /// What the listeners accept, and cannot accept.
    let accepts: AcceptWatch
}
