// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TransferBroker
import WSProtocol

/// What goes on between clients at this node: control connections, transfers and streams, and the connections of all.
struct TransferService: ServerPart {
    let broker: BrokerService
    let streams: StreamTable
    let admission: Admission
    /// How much memory the process may use.
    let memory: Replaceable<MemoryBudget?>
    let limits: LimitControl
    let traffic: TrafficLedger
    /// What sessions leave unread, and the names that were registered without an invitation, by address.
    let unread: UnreadBytes
    let newNames: NewNames
    private let cluster: ClusterMember?
    private let loop: any EventLoop
    private let logger: Logger

    init(_ context: ServerContext) {
        (admission, memory) = (context.admission, Replaceable(context.configuration.memoryLimit.budget))
        (loop, logger, cluster) = (context.group.next(), context.logger, context.cluster)
        let streams = StreamTable()
        let broker = BrokerService(
            node: context.cluster?.id ?? .alone, cluster: context.cluster?.cluster ?? NoCluster(),
            limits: Defaults.Broker.makeLimits(address: context.configuration.addressLimit.holding), streams: streams,
            reports: context.reports, logger: context.logger
        )
        streams.onEmptied { [weak broker] in broker?.streamsEmptied() }
        (self.streams, self.broker) = (streams, broker)
        limits = LimitControl(context.configuration.limitSettings) { [weak broker] in broker?.handle($0) }
        let ofAddress = context.configuration.addressLimit
        (unread, newNames) = (UnreadBytes(limitOfAddress: ofAddress.unreadBytes), NewNames(limit: ofAddress.newNames))
        traffic = TrafficLedger(limits: limits, store: context.traffic, reports: context.reports)
    }

    /// Takes the limits of a configuration from now on.
    func apply(_ configuration: ServerConfiguration) {
        memory.replace(with: configuration.memoryLimit.budget)
        limits.apply(limits: configuration.limitSettings)
        admission.apply(configuration.addressLimit)
        unread.apply(configuration.addressLimit)
        newNames.apply(configuration.addressLimit)
    }

    /// Looks at deadlines and at memory from now on, until the event loop ends.
    func start() {
        broker.startSweeping(on: loop)
        traffic.start(on: loop)
        MemoryWatch.start(memory, on: loop, logger: logger) { [admission, weak broker] pressure in
            admission.memoryChanged(pressure)
            broker?.memoryChanged(pressure)
        }
    }

    /// Cuts the streams that still run, so that no end takes its part for the whole, closes the control connections,
    /// and gives what is being written a moment: an answer on its way to a client, the close of a session.
    func stop() async {
        // First, or the streams' transfers would end as if their clients had gone; and the other nodes hear why as long
        // as there are links.
        for cut in streams.abortEverything(code: .draining) { try? await cut.get() }
        broker.closeAllSessions(.goingAway)
        // Not a promise of the loop: the last connection may close when the loop is already gone.
        let (waiting, done) = AsyncStream.makeStream(of: Never.self)
        let deadline = loop.scheduleTask(in: .seconds(Defaults.Operations.closeTimeout)) { done.finish() }
        admission.whenEmpty { done.finish() }
        for await _ in waiting {}
        deadline.cancel()
        // What is being written down already is waited for: as long as Redis may take for one answer, and no longer.
        let end = NIODeadline.now() + .seconds(Defaults.Operations.closeTimeout)
        while await !traffic.flush(), NIODeadline.now() < end {
            try? await loop.scheduleTask(in: Defaults.Handover.quietStep) {}.futureResult.get()
        }
    }
}

extension TransferService: Drainable {
    var activeTransfers: Int { broker.activeTransfers }

    func beginDrain() {
        // Without another node, clients would only come back here, to be refused.
        let hasOthers = cluster.map { $0.status.nodes > 0 } ?? false
        admission.stop(hasOthers ? .leaving : .draining)
        if hasOthers { broker.moveSessions() }
        broker.beginDrain()
    }

    func beginLeave() {
        admission.stop(.leaving)
        broker.moveSessions(toSuccessor: true)
        broker.beginDrain()
    }

    func whenIdle(_ callback: @escaping @Sendable () -> Void) { broker.whenIdle(callback) }
}
