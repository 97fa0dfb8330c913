// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// Decides when the allocator should give back what it keeps for later.
///
/// It never does by itself where a block in use lies behind the free ones, so after a wave of connections the process would
/// stay as large as it was at the wave's height.
struct TrimSchedule {
    /// The fewest bytes the process has had in memory.
    private var least: UInt64 = .max
    /// Those at the last look: what still grows is in use.
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
