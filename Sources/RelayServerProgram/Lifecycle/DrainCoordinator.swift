// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import Synchronization

/// Runs the actions of the one ``DrainMachine`` of the process. For any thread.
final class DrainCoordinator: Sendable {
    private let machine = Mutex(DrainMachine())
    private let parts: ServerParts
    private let loop: any EventLoop
    private let timeout: TimeAmount
    private let logger: Logger
    /// Not a promise of the loop: its last owner may let go of it when the loop is gone.
    private let stops: AsyncStream<DrainMachine.Reason>
    private let stopped: AsyncStream<DrainMachine.Reason>.Continuation

    /// - Parameter timeout: how long running transfers are given.
    init(parts: ServerParts, loop: any EventLoop, timeout: TimeAmount, logger: Logger) {
        self.parts = parts
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

    private func run(_ action: DrainMachine.Action) {
        switch action {
        case .nothing: return
        case .beginDrain:
            logger.notice(
                "draining",
                metadata: [
                    LogKeys.count: "\(parts.broker.activeTransfers)",
                    LogKeys.seconds: "\(timeout.nanoseconds / 1_000_000_000)",
                ]
            )
            parts.beginDrain()
            parts.broker.beginDrain()
            loop.scheduleTask(in: timeout) { self.run(self.machine.withLock { $0.deadlinePassed() }) }
            parts.broker.whenIdle { self.run(self.machine.withLock { $0.becameIdle() }) }
        case .stop(let reason):
            stopped.yield(reason)
            stopped.finish()
        }
    }
}
