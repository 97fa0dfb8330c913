// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import NIOCore
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
    private let reloader: Reloader
    private let started = ContinuousClock.now
    private let startTime = Int64(Date().timeIntervalSince1970)
    /// The address of the metrics listener, once it is bound.
    var metricsListen: String?

    init(
        _ context: ServerContext, _ transfers: TransferService, _ listeners: ClientListeners,
        _ coordinator: DrainCoordinator, _ reloader: Reloader
    ) {
        self.context = context
        self.transfers = transfers
        self.listeners = listeners
        self.coordinator = coordinator
        self.reloader = reloader
    }

    /// The output of `relay-server status`.
    func status() async -> ServerStatus {
        let counts = await context.users.counts()
        let limits = transfers.limits.settings
        return ServerStatus(
            version: ProgramVersion.current, state: state, pid: getpid(),
            uptime: (ContinuousClock.now - started).components.seconds, listen: listeners.addresses,
            httpListen: listeners.redirectAddresses, metricsListen: metricsListen,
            registration: context.configuration.registration, users: counts.users, invitations: counts.invitations,
            sessions: transfers.broker.connections, transfers: transfers.broker.activeTransfers,
            streams: transfers.streams.counts, limits: limits.ofUser, addressLimit: limits.address.users,
            figures: figures(), cluster: context.cluster?.status
        )
    }

    /// The output of `relay-server top`, but for rates.
    func top(limit: Int) async -> ServerTop {
        let node = transfers.broker.node
        let listing = transfers.broker.foremost(limit: limit)
        var entries: [ServerTop.Transfer] = []
        for transfer in listing.transfers {
            let bytes = await transfers.streams.bytesNow(of: StreamKey(home: node, transfer: transfer.id))
            entries.append(ServerTop.Transfer(transfer, bytes: bytes))
        }
        for stream in transfers.streams.keys(limit: max(0, limit - entries.count), where: { $0.home != node }) {
            entries.append(
                .init(
                    transfer: stream.transfer, state: "streaming", node: stream.home.rawValue,
                    bytes: await transfers.streams.bytesNow(of: stream)))
        }
        let uptime = (ContinuousClock.now - started).components
        return ServerTop(
            node: node.rawValue, state: state,
            uptime: uptime.seconds * 1000 + uptime.attoseconds / 1_000_000_000_000_000, figures: figures(),
            transfers: entries,
            sessions: listing.sessions.map(ServerTop.Session.init))
    }

    private func figures() -> StatusFigures {
        let (broker, flow) = (transfers.broker.status, transfers.streams.flow)
        let process = ProcessFigures.now(context, transfers.memory.current)
        return StatusFigures(
            sessions: broker.sessions, receiving: broker.receiving, sharing: broker.sharing, waiting: broker.waiting,
            ringing: broker.ringing, accepted: broker.accepted, parked: broker.parked, streaming: broker.streaming,
            streamed: broker.streamed, delivered: broker.delivered, failed: broker.failed,
            streams: transfers.streams.count, bytesToReceivers: flow.bytesToReceivers,
            bytesToNodes: flow.bytesToNodes, connections: transfers.admission.connections, memory: process.resident,
            memoryLimit: process.memoryLimit, descriptors: process.openDescriptors,
            descriptorLimit: process.descriptorLimit, certificateEnd: context.certificates.current.firstEnd)
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
            accepts: context.accepts.counts, handshakes: context.handshakes.value,
            process: .now(context, transfers.memory.current),
            limits: context.reports.counts, started: startTime,
            certificateEnd: context.certificates.current.firstEnd, reloads: reloader.counts,
            lostLogLines: context.log.sink.lostLines
        )
    }

    var readiness: Readiness { Readiness(state, context.cluster?.status) }
}

extension ProcessFigures {
    /// The figures of this process at this moment.
    /// - Parameter memory: how much memory the process may use, which a reload can change.
    static func now(_ context: ServerContext, _ memory: MemoryBudget?) -> ProcessFigures {
        let descriptors = context.accepts.openDescriptors
        return ProcessFigures(
            resident: ProcessMemory.resident, openDescriptors: descriptors?.now, descriptorLimit: descriptors?.limit,
            processorTime: ProcessMemory.processorTime, memoryLimit: memory?.bytes,
            loopLag: context.loops.lag, clockSteps: context.loops.clockSteps, failedWrites: context.users.failedWrites
        )
    }
}
