// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import ServerSystem
import Synchronization
package import TransferBroker

/// Looks at each event loop a few times a second: how late its timers come is how long all transfers on it wait. And at
/// the calendar clock, which tokens and certificates are compared with: whether it was set.
package final class LoopWatch: Sendable {
    /// How it reaches the world; other ways in tests.
    struct Means: Sendable {
        var now: @Sendable () -> NIODeadline = { .now() }
        /// What the calendar clock is ahead of one that is never set.
        var clockOffset: @Sendable () -> TimeAmount? = { SystemClock.offset }
    }

    /// In a structure: a closure that is itself the value of a mutex is wrapped once more by each access.
    private struct Callback {
        var call: (@Sendable () -> Void)?
    }

    private let lags = Mutex(Histogram(.instants))
    private let offset = Mutex<TimeAmount?>(nil)
    private let steps = Atomic<UInt64>(0)
    private let stepped = Mutex(Callback())
    private let means: Means
    private let logger: Logger

    init(means: Means, logger: Logger) {
        self.means = means
        self.logger = logger
    }

    package convenience init(logger: Logger) { self.init(means: Means(), logger: logger) }

    /// How late the timers of all loops were.
    package var lag: Histogram { lags.withLock { $0 } }
    /// How often the calendar clock was set.
    package var clockSteps: UInt64 { steps.load(ordering: .relaxed) }

    /// Calls `callback` each time that the clock was set.
    package func whenStepped(_ callback: @escaping @Sendable () -> Void) { stepped.withLock { $0.call = callback } }

    /// Looks from now on, for as long as the loops run.
    package func start(on loops: [any EventLoop]) {
        lookAtClock()
        for loop in loops { lookAgain(at: loop) }
        let interval = Defaults.Loops.clockInterval
        loops.first?.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.lookAtClock() }
    }

    private func lookAgain(at loop: any EventLoop) {
        let due = means.now() + Defaults.Loops.interval
        loop.scheduleTask(deadline: due) {
            let late = self.means.now() - due
            self.lags.withLock { $0.record(late) }
            self.lookAgain(at: loop)
        }
    }

    /// Compares the calendar clock with what it was.
    func lookAtClock() {
        guard let now = means.clockOffset() else { return }
        let before = offset.withLock { offset in
            defer { offset = now }
            return offset
        }
        guard let before else { return }
        let step = now - before
        guard abs(step.nanoseconds) >= Defaults.Loops.clockStep.nanoseconds else { return }
        steps.wrappingAdd(1, ordering: .relaxed)
        logger.warning(
            "the clock of this machine was set: invitations, certificates and offers are compared with it",
            metadata: [LogKeys.seconds: "\(step.nanoseconds / 1_000_000_000)"])
        stepped.withLock { $0.call }?()
    }
}
