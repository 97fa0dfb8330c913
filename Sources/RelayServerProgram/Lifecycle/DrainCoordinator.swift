// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import Synchronization
import TransferBroker

/// What is drained. Safe to call from any thread.
protocol Drainable: Sendable {
    /// Transfers that a receiver has accepted and that are not over.
    var activeTransfers: Int { get }
    /// Refuses new control connections, offers and accepts from now on; what was accepted goes on.
    func beginDrain()
    /// Refuses new control connections, offers and accepts from now on, where clients find another process in this
    /// one's place.
    func beginLeave()
    /// Calls `callback` once, as soon as no accepted transfer is left; at once when there is none.
    func whenIdle(_ callback: @escaping @Sendable () -> Void)
}

/// Runs the actions of the one ``DrainMachine`` of the process. For any thread.
final class DrainCoordinator: Sendable {
    private let machine = Mutex(DrainMachine())
    private let drained: any Drainable
    private let listeners: ClientListeners?
    private let loop: any EventLoop
    private let timeout: TimeAmount
    private let logger: Logger
    /// Not a promise of the loop: its last owner may let go of it when the loop is gone.
    private let stops: AsyncStream<DrainMachine.Reason>
    private let stopped: AsyncStream<DrainMachine.Reason>.Continuation

    /// - Parameters:
    ///   - listeners: those that are closed when the drain begins; nil when clients are refused in words instead, as no
    ///     other node can take them.
    ///   - timeout: how long running transfers are given.
    init(
        _ drained: any Drainable, closing listeners: ClientListeners?, loop: any EventLoop, timeout: TimeAmount,
        logger: Logger
    ) {
        self.drained = drained
        self.listeners = listeners
        self.loop = loop
        self.timeout = timeout
        self.logger = logger
        (stops, stopped) = AsyncStream.makeStream()
    }

    /// How far the end is.
    var state: DrainMachine.State { machine.withLock { $0.state } }

    /// Waits until it is time to stop.
    func waitForStop() async -> DrainMachine.Reason {
        for await reason in stops { return reason }
        return .finished
    }

    /// SIGTERM or SIGINT came.
    func signalled() { run(machine.withLock { $0.signalled() }) }

    /// An operator asked for it.
    func drainRequested() { run(machine.withLock { $0.drainRequested() }) }

    /// Another process serves in this one's place; `close` closes what it has been given.
    func handedOver(_ close: @escaping @Sendable () async -> Void) {
        Task { await close() }
        run(machine.withLock { $0.handedOver() })
    }

    /// Ends the drain when nothing runs any more, or after `time`.
    private func end(after time: TimeAmount) {
        loop.scheduleTask(in: time) { self.run(self.machine.withLock { $0.deadlinePassed() }) }
    }

    private func run(_ action: DrainMachine.Action) {
        switch action {
        case .nothing: return
        case .beginDrain:
            logger.notice(
                "draining",
                metadata: [
                    LogKeys.count: "\(drained.activeTransfers)",
                    LogKeys.seconds: "\(timeout.nanoseconds / 1_000_000_000)",
                ]
            )
            drained.beginDrain()
            // The other nodes take what comes from now on, and balancers notice a closed port sooner than anything
            // else.
            if let listeners { Task { await listeners.closeTLS() } }
            end(after: timeout)
            drained.whenIdle { self.run(self.machine.withLock { $0.becameIdle() }) }
        case .leave:
            drained.beginLeave()
            end(after: Defaults.Handover.longestStay)
            drained.whenIdle { self.run(self.machine.withLock { $0.becameIdle() }) }
        case .limitTime: end(after: timeout)
        case .stop(let reason):
            stopped.yield(reason)
            stopped.finish()
        }
    }
}
