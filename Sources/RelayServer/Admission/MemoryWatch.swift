// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore

/// Compares the process's memory with its budget, and says when that means something else than before.
final class MemoryWatch {
    private let budget: MemoryBudget
    private let resident: () -> UInt64?
    private let logger: Logger
    private var pressure = MemoryPressure.none
    private let changed: (MemoryPressure) -> Void

    /// - Parameters:
    ///   - resident: bytes in memory now; others in tests.
    ///   - changed: told about each change.
    init(
        _ budget: MemoryBudget, resident: @escaping () -> UInt64? = { ProcessMemory.resident }, logger: Logger,
        changed: @escaping (MemoryPressure) -> Void
    ) {
        self.budget = budget
        self.resident = resident
        self.logger = logger
        self.changed = changed
    }

    /// Looks now and every ``Defaults/Memory/interval``, on `loop`, for as long as the loop runs.
    static func start(
        _ budget: MemoryBudget, on loop: any EventLoop, logger: Logger,
        changed: @escaping @Sendable (MemoryPressure) -> Void
    ) {
        loop.execute {
            let watch = MemoryWatch(budget, logger: logger, changed: changed)
            watch.look()
            let bound = NIOLoopBound(watch, eventLoop: loop)
            let interval = Defaults.Memory.interval
            loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in bound.value.look() }
        }
    }

    /// Looks once.
    func look() {
        guard var used = resident() else { return }
        if budget.pressure(resident: used) > .none {
            // Memory that was used and let go of counts as well until the allocator gives it back.
            ProcessMemory.trim()
            used = resident() ?? used
        }
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
