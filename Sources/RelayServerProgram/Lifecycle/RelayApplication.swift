// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import FoundationEssentials
import Glibc
import Logging
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import ServiceLifecycle
import TLSTransport
import TransferBroker
import UnixSignals
import WSProtocol

/// One node, from the checked configuration to the last closed socket.
struct RelayApplication: Sendable {
    /// Makes the parts that serve; listeners are bound when it returns. Throws ``OperatorError``.
    typealias Composer = @Sendable (ServerContext) async throws -> ServerParts

    let configuration: ServerConfiguration
    let logger: Logger
    var descriptorLimit: Int
    var drainTimeout = TimeAmount.seconds(Defaults.Operations.drainTimeout)
    /// Whether SIGTERM and SIGINT end this server; a test's do not.
    var trapsSignals = true
    let compose: Composer
    /// Told once the server serves.
    var ready: @Sendable (ServerStatus) -> Void = { _ in }

    /// Serves until the server is told to stop, and has stopped.
    /// - Throws: ``OperatorError`` in words when it cannot start.
    func run() async throws {
        let tickets = TicketKeys()
        let tls = try configuration.certificate.load(tickets: tickets)
        let certificates = try CertificateInventory(configuration)
        if configuration.cluster != nil { try Self.refuseNode(certificates) }
        try configuration.cluster?.checkFiles()
        let directory = try StateDirectory(path: configuration.stateDirectory)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        CloseOnExec.markOpen()
        let result: Result<Void, any Error>
        do {
            let context = try context(group, tls, certificates, tickets, RegistryFile(directory: directory))
            result = .success(try await serve(context, directory))
        } catch {
            result = .failure(error)
        }
        try? await group.shutdownGracefully()
        try result.get()
        logger.notice("stopped")
    }

    /// A node whose own certificate the others refuse can link with none of them, and would only take people's transfers and lose
    /// them. A server's certificate that clients refuse is another thing: see docs/configuration.md.
    private static func refuseNode(_ certificates: CertificateInventory) throws(OperatorError) {
        let problems = certificates.problems(at: Int64(LogTime.now.seconds))
        guard let problem = problems.first(where: { $0.isFatal && $0.setting == .clusterCert }) else { return }
        throw OperatorError(.configuration, problem.sentence)
    }

    /// Where the users are is where the node keeps what it knows: in its own file, or with the cluster.
    private func context(
        _ group: any EventLoopGroup, _ tls: TLSContext, _ certificates: CertificateInventory, _ tickets: TicketKeys,
        _ registry: RegistryFile
    ) throws(OperatorError) -> ServerContext {
        let reports = LimitReports(logger: logger)
        let admission = Admission(
            descriptorLimit: descriptorLimit, strangersPerAddress: configuration.addressLimit.strangers,
            reports: reports
        )
        let users: any UserAdministration
        var cluster: ClusterMember?
        if let settings = configuration.cluster {
            let member = try ClusterMember(
                settings, configuration: configuration, local: registry.load(),
                imported: { [logger] in Self.retire(registry, logger) }, tickets: tickets, admission: admission,
                group: group, logger: logger
            )
            (users, cluster) = (member.users, member)
        } else {
            users = try FileUserDirectory(file: registry, mode: configuration.registration)
        }
        return ServerContext(
            configuration: configuration, group: group, tls: tls, certificates: certificates, users: users,
            cluster: cluster, admission: admission, reports: reports, logger: logger, descriptorLimit: descriptorLimit,
            accepts: AcceptWatch(limit: descriptorLimit, logger: logger)
        )
    }

    /// The users of the node's own registry are with the cluster now: a later start must not bring back who was removed
    /// there.
    private static func retire(_ registry: RegistryFile, _ logger: Logger) {
        // Not on the event loop that says so: this waits for the disk.
        Task {
            do {
                try registry.retire()
                logger.notice("the users of users.json are in redis now; it was renamed to users.json.imported")
            } catch {
                logger.warning("users.json was imported and cannot be renamed", metadata: [LogKeys.error: "\(error)"])
            }
        }
    }

    private func serve(_ context: ServerContext, _ directory: StateDirectory) async throws {
        let parts = try await compose(context)
        do {
            try await serve(parts, context, directory)
        } catch {
            // The node has its place already: the others need not wait until its life there runs out.
            await parts.leaveCluster()
            throw error
        }
    }

    private func serve(_ parts: ServerParts, _ context: ServerContext, _ directory: StateDirectory) async throws {
        let (started, startTime) = (ContinuousClock.now, Date())
        let coordinator = DrainCoordinator(
            parts: parts, loop: context.group.any(), timeout: drainTimeout, logger: logger
        )
        let users = context.users
        let figures: @Sendable () async -> ServerStatus = { [configuration] in
            await Self.status(configuration, parts, coordinator, users, started)
        }
        let source = MetricsSource(
            snapshot: {
                MetricsSnapshot(
                    status: await figures(), broker: parts.brokerStatus(), connections: parts.openConnections(),
                    accepts: context.accepts.counts, process: .now(context.accepts), limits: parts.limitCounts(),
                    started: Int64(startTime.timeIntervalSince1970), certificateEnd: context.certificates.firstEnd
                )
            },
            readiness: { Readiness(Self.state(coordinator), parts.clusterStatus()) }
        )
        let metrics = try await MetricsListener.open(
            at: configuration.metricsListen, group: context.group, source: source, accepts: context.accepts,
            logger: logger
        )
        let status: @Sendable () async -> ServerStatus = {
            var status = await figures()
            status.metricsListen = metrics?.address?.hostAndPort
            return status
        }
        let responder = AdminResponder(
            users: users, status: status, drain: { coordinator.drainRequested() },
            nameRemoved: { parts.broker.nameRemoved($0) }
        )
        let admin = try await AdminServer.bind(
            in: directory, group: context.group, responder: responder, accepts: context.accepts)
        let signals = trapsSignals ? await UnixSignalsSequence(trapping: .sigterm, .sigint) : nil
        let pidFile = configuration.pidFile.map { PIDFile(path: $0) }
        do {
            try pidFile?.write()
        } catch {
            await admin.close()
            throw error
        }
        defer { pidFile?.remove() }
        let first = await status()
        announce(first)
        CertificateWatch(certificates: context.certificates, logger: logger).start(on: context.group.any())
        ready(first)
        let relay = RelayService(
            parts: parts, admin: admin, metrics: metrics, coordinator: coordinator, loop: context.group.any(),
            logger: logger
        )
        try await run(
            relay, signals.map { SignalService(signals: $0, coordinator: coordinator, logger: logger) }
        )
    }

    private func run(_ relay: RelayService, _ signals: SignalService?) async throws {
        // What the group itself says is of no use to operators: the services say it better.
        let quiet = Logger(label: "lifecycle", factory: { _ in SwiftLogNoOpLogHandler() })
        var services = [
            ServiceGroupConfiguration.ServiceConfiguration(
                service: relay, successTerminationBehavior: .gracefullyShutdownGroup
            )
        ]
        if let signals {
            services.append(.init(service: signals, successTerminationBehavior: .ignore))
        }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: quiet))
        try await group.run()
    }

    private func announce(_ status: ServerStatus) {
        for path in configuration.exposedFiles {
            logger.warning(
                "every user of this machine may read a file with a secret: chmod 600 it",
                metadata: [LogKeys.file: "\(path)"]
            )
        }
        logger.notice(
            "started",
            metadata: [
                LogKeys.version: "\(status.version)", LogKeys.pid: "\(status.pid)",
                LogKeys.registration: "\(status.registration.rawValue)", LogKeys.descriptors: "\(descriptorLimit)",
            ]
        )
        if descriptorLimit < Defaults.Operations.fewDescriptors {
            logger.warning(
                "few file descriptors: each connection takes one; raise the limit (LimitNOFILE= of the service, or ulimit -n)",
                metadata: [LogKeys.limit: "\(descriptorLimit)"]
            )
        }
        for address in status.httpListen {
            logger.notice("listening", metadata: [LogKeys.address: "\(address)", LogKeys.purpose: "http"])
        }
        for address in status.listen {
            logger.notice("listening", metadata: [LogKeys.address: "\(address)", LogKeys.purpose: "https"])
        }
        if let address = status.metricsListen {
            logger.notice("listening", metadata: [LogKeys.address: "\(address)", LogKeys.purpose: "metrics"])
        }
    }

    private static func state(_ coordinator: DrainCoordinator) -> ServerStatus.State {
        switch coordinator.state {
        case .serving: .serving
        case .draining: .draining
        case .stopping: .stopping
        }
    }

    private static func status(
        _ configuration: ServerConfiguration, _ parts: ServerParts, _ coordinator: DrainCoordinator,
        _ users: any UserAdministration, _ started: ContinuousClock.Instant
    ) async -> ServerStatus {
        let counts = await users.counts()
        return ServerStatus(
            version: ProgramVersion.current, state: state(coordinator), pid: getpid(),
            uptime: (ContinuousClock.now - started).components.seconds,
            listen: parts.listeners.compactMap { $0.address?.hostAndPort },
            httpListen: parts.redirects.compactMap { $0.address?.hostAndPort },
            registration: configuration.registration, users: counts.users, invitations: counts.invitations,
            sessions: parts.broker.connections, transfers: parts.broker.activeTransfers,
            streams: parts.streamCounts(), cluster: parts.clusterStatus()
        )
    }
}
