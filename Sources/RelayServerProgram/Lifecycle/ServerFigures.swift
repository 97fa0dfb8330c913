// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import RelayNode
import ServerSystem
import StreamRelay
import TransferBroker

/// The figures of the running server, read from its parts at each request: for `status`, metrics and readiness.
struct ServerFigures: Sendable {
    private let context: ServerContext
    private let transfers: TransferService
    private let listeners: ClientListeners
    private let coordinator: DrainCoordinator
    private let started = ContinuousClock.now
    private let startTime = Int64(Date().timeIntervalSince1970)
    /// The address of the metrics listener, once it is bound.
    var metricsListen: String?
    /// How often the configuration was read again.
    var reloads: @Sendable () -> ReloadCounts = { ReloadCounts() }

    init(
        _ context: ServerContext, _ transfers: TransferService, _ listeners: ClientListeners,
        _ coordinator: DrainCoordinator
    ) {
        self.context = context
        self.transfers = transfers
        self.listeners = listeners
        self.coordinator = coordinator
    }

    /// The output of `relay-server status`.
    func status() async -> ServerStatus {
        let counts = await context.users.counts()
        return ServerStatus(
            version: ProgramVersion.current, state: state, pid: getpid(),
            uptime: (ContinuousClock.now - started).components.seconds, listen: listeners.addresses,
            httpListen: listeners.redirectAddresses, metricsListen: metricsListen,
            registration: context.configuration.registration, users: counts.users, invitations: counts.invitations,
            sessions: transfers.broker.connections, transfers: transfers.broker.activeTransfers,
            streams: transfers.streams.counts, cluster: context.cluster?.status
        )
    }

    private var state: ServerStatus.State {
        switch coordinator.state {
        case .serving: .serving
        case .draining, .handedOver: .draining
        case .stopping: .stopping
        }
    }
}

extension ServerFigures: MetricsSource {
    func snapshot() async -> MetricsSnapshot {
        MetricsSnapshot(
            status: await status(), broker: transfers.broker.status, connections: transfers.admission.connections,
            streams: transfers.streams.count, flow: transfers.streams.flow, redis: context.cluster?.redis,
            accepts: context.accepts.counts, handshakes: context.handshakes.value, process: .now(context),
            limits: context.reports.counts, started: startTime,
            certificateEnd: context.certificates.current.firstEnd, reloads: reloads(),
            lostLogLines: context.log.sink.lostLines
        )
    }

    var readiness: Readiness { Readiness(state, context.cluster?.status) }
}

extension ProcessFigures {
    /// Those of now.
    static func now(_ context: ServerContext) -> ProcessFigures {
        let descriptors = context.accepts.openDescriptors
        return ProcessFigures(
            resident: ProcessMemory.resident, openDescriptors: descriptors?.now, descriptorLimit: descriptors?.limit,
            processorTime: ProcessMemory.processorTime, memoryLimit: context.configuration.memoryLimit.budget?.bytes,
            loopLag: context.loops.lag, clockSteps: context.loops.clockSteps, failedWrites: context.users.failedWrites
        )
    }
}
