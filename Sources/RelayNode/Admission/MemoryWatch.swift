// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import NIOPosix
package import ServerSystem
import TransferBroker

/// Looks at the process's memory: has it given back when much of it is unused, compares it with its budget, and says
/// when that means something else than before.
package final class MemoryWatch {
    /// How it reaches the world; other ways in tests.
    struct Means {
        /// Bytes in memory now.
        var resident: () -> UInt64? = { ProcessMemory.resident }
        /// Makes the allocator give back what it can, and calls back.
        var trim: (_ done: @escaping () -> Void) -> Void
        var clock: () -> NIODeadline = { .now() }
    }

    private let budgets: Replaceable<MemoryBudget?>
    private let means: Means
    private let logger: Logger
    private let changed: (MemoryPressure) -> Void
    private var pressure = MemoryPressure.none
    private var schedule = TrimSchedule()
    private var isTrimming = false

    /// - Parameters:
    ///   - budget: nil when there is no limit.
    ///   - changed: told about each change.
    convenience init(
        _ budget: MemoryBudget?, means: Means, logger: Logger, changed: @escaping (MemoryPressure) -> Void
    ) { self.init(Replaceable(budget), means: means, logger: logger, changed: changed) }

    private init(
        _ budgets: Replaceable<MemoryBudget?>, means: Means, logger: Logger,
        changed: @escaping (MemoryPressure) -> Void
    ) {
        self.budgets = budgets
        self.means = means
        self.logger = logger
        self.changed = changed
    }

    /// Looks now and every ``Defaults/Memory/interval``, on `loop`, for as long as the loop runs.
    package static func start(
        _ budgets: Replaceable<MemoryBudget?>, on loop: any EventLoop, logger: Logger,
        changed: @escaping @Sendable (MemoryPressure) -> Void
    ) {
        loop.execute {
            // Not on the loop: it may take tens of milliseconds, which transfers should not wait for.
            let means = Means(trim: { done in
                NIOThreadPool.singleton.runIfActive(eventLoop: loop) { ProcessMemory.trim() }
                    .assumeIsolated().whenComplete { _ in done() }
            })
            let watch = MemoryWatch(budgets, means: means, logger: logger, changed: changed)
            watch.look()
            let bound = NIOLoopBound(watch, eventLoop: loop)
            let interval = Defaults.Memory.interval
            loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in bound.value.look() }
        }
    }

    /// Looks once.
    func look() {
        guard !isTrimming, let used = means.resident() else { return }
        let isDue = schedule.isDue(resident: used, at: means.clock())
        // Memory that was used and let go of counts as well until the allocator gives it back.
        guard isDue || (budgets.current?.pressure(resident: used) ?? .none) > .none else { return judge(used) }
        isTrimming = true
        means.trim { [self] in
            isTrimming = false
            let now = means.resident() ?? used
            schedule.trimmed(from: used, to: now, at: means.clock())
            judge(now)
        }
    }

    private func judge(_ used: UInt64) {
        let budget = budgets.current
        let now = budget?.pressure(resident: used) ?? .none
        guard now != pressure else { return }
        pressure = now
        let limit = budget.map { "\($0.bytes)" } ?? "off"
        let figures: Logger.Metadata = [LogKeys.resident: "\(used)", LogKeys.limit: "\(limit)"]
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

/// How much memory the process may use, in bytes.
package struct MemoryBudget: Hashable, Sendable {
    package let bytes: UInt64

    /// - Returns: nil for a budget of nothing.
    package init?(bytes: UInt64) {
        guard bytes > 0 else { return nil }
        self.bytes = bytes
    }

    /// What it means that the process has `resident` bytes in memory.
    package func pressure(resident: UInt64) -> MemoryPressure {
        if resident >= Self.share(Defaults.Memory.refuseConnectionsPercent, of: bytes) { return .critical }
        return resident >= Self.share(Defaults.Memory.refuseTransfersPercent, of: bytes) ? .high : .none
    }

    private static func share(_ percent: UInt64, of bytes: UInt64) -> UInt64 {
        bytes / 100 * percent + bytes % 100 * percent / 100
    }
}

/// How near the process is to the end of its memory budget.
package enum MemoryPressure: Int, Comparable, Sendable {
    case none
    /// New transfers are refused: what runs needs the rest.
    case high
    /// New connections are refused as well.
    case critical

    package static func < (first: MemoryPressure, second: MemoryPressure) -> Bool { first.rawValue < second.rawValue }
}

/// Decides when the allocator should give back what it keeps for later.
///
/// It never does by itself where a block in use lies behind the free ones, so after a wave of connections the process
/// would stay as large as it was at the wave's height.
struct TrimSchedule {
    /// The fewest bytes the process has had in memory.
    private var least: UInt64 = .max
    /// The bytes it had at the last look: what still grows is in use.
    private var last: UInt64 = 0
    private var next = NIODeadline.uptimeNanoseconds(0)

    /// Whether it is time, when the process has `resident` bytes in memory.
    mutating func isDue(resident: UInt64, at now: NIODeadline) -> Bool {
        defer { last = resident }
        least = min(least, resident)
        let grown = resident - least
        return now >= next && resident <= last && grown >= Defaults.Memory.trimAboveBytes
            && grown >= least / 100 * (Defaults.Memory.trimAbovePercent - 100)
    }

    /// It was done, and the process has `after` bytes instead of `before`.
    mutating func trimmed(from before: UInt64, to after: UInt64, at now: NIODeadline) {
        (least, last) = (min(least, after), after)
        let isVain = after > before || before - after < Defaults.Memory.trimAboveBytes
        next = now + (isVain ? Defaults.Memory.vainTrimInterval : Defaults.Memory.trimInterval)
    }
}
