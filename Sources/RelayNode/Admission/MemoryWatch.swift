// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import NIOPosix
import ServerSystem
import TransferBroker

/// Looks at the process's memory: has it given back when much of it is unused, compares it with its budget, and says
/// when that means something else than before.
package final class MemoryWatch {
    /// How it reaches the world; other ways in tests.
    package struct Means {
        /// Bytes in memory now.
        package var resident: () -> UInt64? = { ProcessMemory.resident }
        /// Makes the allocator give back what it can, and calls back.
        var trim: (_ done: @escaping () -> Void) -> Void
        package var clock: () -> NIODeadline = { .now() }
    }

    private let budget: MemoryBudget?
    private let means: Means
    private let logger: Logger
    private let changed: (MemoryPressure) -> Void
    private var pressure = MemoryPressure.none
    private var schedule = TrimSchedule()
    private var isTrimming = false

    /// - Parameters:
    ///   - budget: nil when there is no limit.
    ///   - changed: told about each change.
    package init(_ budget: MemoryBudget?, means: Means, logger: Logger, changed: @escaping (MemoryPressure) -> Void) {
        self.budget = budget
        self.means = means
        self.logger = logger
        self.changed = changed
    }

    /// Looks now and every ``Defaults/Memory/interval``, on `loop`, for as long as the loop runs.
    package static func start(
        _ budget: MemoryBudget?, on loop: any EventLoop, logger: Logger,
        changed: @escaping @Sendable (MemoryPressure) -> Void
    ) {
        loop.execute {
            // Not on the loop: it may take tens of milliseconds, which transfers should not wait for.
            let means = Means(trim: { done in
                NIOThreadPool.singleton.runIfActive(eventLoop: loop) { ProcessMemory.trim() }
                    .assumeIsolated().whenComplete { _ in done() }
            })
            let watch = MemoryWatch(budget, means: means, logger: logger, changed: changed)
            watch.look()
            let bound = NIOLoopBound(watch, eventLoop: loop)
            let interval = Defaults.Memory.interval
            loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in bound.value.look() }
        }
    }

    /// Looks once.
    package func look() {
        guard !isTrimming, let used = means.resident() else { return }
        let isDue = schedule.isDue(resident: used, at: means.clock())
        // Memory that was used and let go of counts as well until the allocator gives it back.
        guard isDue || (budget?.pressure(resident: used) ?? .none) > .none else { return judge(used) }
        isTrimming = true
        means.trim { [self] in
            isTrimming = false
            let now = means.resident() ?? used
            schedule.trimmed(from: used, to: now, at: means.clock())
            judge(now)
        }
    }

    private func judge(_ used: UInt64) {
        guard let budget else { return }
        let now = budget.pressure(resident: used)
        guard now != pressure else { return }
        pressure = now
        let figures: Logger.Metadata = [LogKeys.resident: "\(used)", LogKeys.limit: "\(budget.bytes)"]
        switch now {
        case .none: logger.notice("there is memory again: everything is taken", metadata: figures)
        case .high: logger.warning("memory runs short: new transfers are refused", metadata: figures)
        case .critical: logger.warning("memory runs out: new connections are refused", metadata: figures)
        }
        changed(now)
    }
}

@available(*, unavailable)
extension MemoryWatch: Sendable {}
