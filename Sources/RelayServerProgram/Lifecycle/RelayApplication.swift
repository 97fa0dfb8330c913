// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Glibc
import Logging
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker
import UnixSignals
import WSProtocol

/// One node, from the checked configuration to the last closed socket.
struct RelayApplication: Sendable {
    let configuration: ServerConfiguration
    let log: ServerLog
    let descriptorLimit: Int
    var drainTimeout = TimeAmount.seconds(Defaults.Operations.drainTimeout)
    /// Whether SIGTERM and SIGINT end this server; a test's do not.
    var trapsSignals = true
    /// Sockets that another process has bound for this one.
    let inherited: InheritedSockets
    /// The configuration as its sources say now.
    let read: @Sendable () throws(OperatorError) -> ServerConfiguration
    /// The service manager that has started this process, and wants to know how it is.
    let manager: ServiceManager
    let watchdog: Watchdog
    /// Whether it takes the place of the process that serves with the same state directory.
    let takesOver: Bool
    /// Whether it may do everything on this machine, which a relay never needs.
    var isRoot = geteuid() == 0
    /// What tells the process that waits for this start; nil when none does.
    let report: StartReport?

    private var logger: Logger { log.logger }

    /// Serves until the server is told to stop, and has stopped.
    /// - Throws: ``OperatorError`` when it cannot start.
    func run() async throws {
        guard takesOver else { return try await run(nil) }
        guard configuration.cluster == nil else {
            throw OperatorError(
                .configuration,
                "a node of a cluster is not replaced in place: `relay-server drain` and start it again: the other nodes serve"
            )
        }
        let takeover = try Takeover(stateDirectory: configuration.stateDirectory)
        do {
            try await run(takeover)
        } catch {
            takeover.failed(error)
            throw error
        }
    }

    private func run(_ takeover: Takeover?) async throws {
        let pidFile = configuration.pidFile.map { PIDFile(path: $0) }
        try pidFile?.check(predecessor: takeover?.predecessor)
        let tickets = TicketKeys()
        let tls = try configuration.certificate.load(tickets: tickets)
        let certificates = try CertificateInventory(configuration)
        if configuration.cluster != nil { try Self.refuseNode(certificates) }
        try configuration.checkFolders()
        try configuration.cluster?.checkFiles()
        let directory = try StateDirectory(path: configuration.stateDirectory, lock: takeover?.lock)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let accepting = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        CloseOnExec.markOpen()
        let result: Result<Void, any Error>
        do {
            // All that can be wrong with files is known by now, and the registry is not read yet.
            let names = try takeover?.claim() ?? []
            let registry = RegistryFile(directory: directory)
            let context = try context(group, accepting, tls, certificates, tickets, registry, takeover?.inherited)
            result = .success(try await serve(context, directory, pidFile, takeover, expecting: names))
        } catch {
            result = .failure(error)
        }
        // Connections that close say so to the loop that has accepted them.
        try? await group.shutdownGracefully()
        try? await accepting.shutdownGracefully()
        try result.get()
        logger.notice("stopped")
    }

    /// A node whose own certificate the others refuse can link with none of them, and would only take people's
    /// transfers and lose them. A server's certificate that clients refuse is another thing: see docs/configuration.md.
    private static func refuseNode(_ certificates: CertificateInventory) throws(OperatorError) {
        let problems = certificates.problems(at: Int64(LogTime.now.seconds))
        guard let problem = problems.first(where: { $0.isFatal && $0.setting == .clusterCert }) else { return }
        throw OperatorError(.configuration, problem.message)
    }

    /// Where the users are is where the node keeps what it knows: in its own file, or with the cluster.
    private func context(
        _ group: any EventLoopGroup, _ accepting: any EventLoopGroup, _ tls: TLSContext,
        _ certificates: CertificateInventory, _ tickets: TicketKeys, _ registry: RegistryFile,
        _ handed: InheritedSockets?
    ) throws(OperatorError) -> ServerContext {
        let reports = LimitReports(logger: logger)
        let repaired = { [logger] (problem: String) in
            logger.error(
                "the users' registry was damaged, and the copy before its last change was put in its place; the damaged one is users.json.damaged",
                metadata: [LogKeys.error: "\(problem)"]
            )
        }
        let admission = Admission(
            descriptorLimit: descriptorLimit, unauthenticatedPerAddress: configuration.addressLimit.unauthenticated,
            unauthenticatedPace: configuration.addressLimit.unauthenticatedPace,
            reports: reports
        )
        let users: any UserAdministration
        let traffic: any TrafficStore
        var cluster: ClusterMember?
        if let settings = configuration.cluster {
            let member = try ClusterMember(
                settings, configuration: configuration, local: registry.load(repaired: repaired),
                imported: { [logger] in Self.retire(registry, logger) }, tickets: tickets, admission: admission,
                group: group, logger: logger
            )
            (users, traffic, cluster) = (member.users, member.traffic, member)
        } else {
            users = try FileUserDirectory(file: registry, mode: configuration.registration, repaired: repaired)
            traffic = TrafficFile(directory: registry.directory)
        }
        return ServerContext(
            configuration: configuration, group: group, accepting: accepting, tls: Replaceable(tls),
            certificates: Replaceable(certificates), users: users, traffic: traffic, cluster: cluster,
            admission: admission,
            reports: reports, log: log, descriptorLimit: descriptorLimit,
            accepts: AcceptWatch(limit: descriptorLimit, logger: logger), tickets: tickets,
            inherited: handed ?? inherited, manager: manager,
            read: read,
            loops: LoopWatch(logger: logger)
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

    private func serve(
        _ context: ServerContext, _ directory: StateDirectory, _ pidFile: PIDFile?, _ takeover: Takeover?,
        expecting names: [PeerName]
    ) async throws {
        context.loops.start(on: context.listenerLoops.all)
        let server = try await ServerComposition(context, directory, drainTimeout: drainTimeout)
        server.parts.transfers.broker.expect(names, within: Defaults.Handover.arrivalTime)
        // The last thing to go: who waits for that may start another server.
        defer { if !server.handover.isHandedOver { pidFile?.remove() } }
        try await withThrowingDiscardingTaskGroup { tasks in
            defer { tasks.cancelAll() }
            try await server.parts.startOrder.run {
                if trapsSignals {
                    // Before the process id is written: a program that reads it may send a signal at once. Signals are
                    // taken until all parts have stopped.
                    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup, .sigusr1)
                    tasks.addTask { await forward(signals, to: server) }
                }
                // The other process's files become this one's only when it leaves: until then it may still go on.
                if let pidFile {
                    try pidFile.write(predecessor: takeover?.predecessor) { try takeover?.complete() }
                } else {
                    try takeover?.complete()
                }
                server.parts.admin.takenOver()
                if context.cluster == nil { try server.handover.start() }
                defer { server.handover.stop() }
                announce(await server.figures.status())
                manager.tell(.ready, .status("serving"))
                watchdog.start(context.listenerLoops.all, manager)
                report?.succeeded()
                server.certificates.start(on: context.group.any())
                // By another time, others of them are good.
                context.loops.whenStepped { server.certificates.look() }
                let reason = await server.coordinator.waitForStop()
                manager.tell(.stopping, .status("stopping"))
                logger.notice("stopping", metadata: [LogKeys.outcome: "\(reason.rawValue)"])
            }
        }
    }

    /// Does what each signal asks for, until the task is cancelled.
    private func forward(_ signals: UnixSignalsSequence, to server: ServerComposition) async {
        for await signal in signals {
            logger.notice("signal received", metadata: [LogKeys.signal: "\(signal)"])
            switch signal {
            case .sighup:
                manager.tell(.reloading(microseconds: ServiceManager.now))
                // What is wrong is in the log by then.
                _ = try? server.reloader.reload()
                manager.tell(.ready)
            case .sigusr1: log.reopen()
            default:
                manager.tell(.stopping, .status("letting transfers finish"))
                server.coordinator.signalled()
            }
        }
    }

    private func announce(_ status: ServerStatus) {
        for path in configuration.exposedFiles {
            logger.warning(
                "every user of this machine may read a file with a secret: chmod 600 it",
                metadata: [LogKeys.file: "\(path)"]
            )
        }
        if isRoot {
            logger.warning(
                "this process is root and need not be: start it as a user of its own, with CAP_NET_BIND_SERVICE for ports below 1024, as the service of the package does"
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
}
