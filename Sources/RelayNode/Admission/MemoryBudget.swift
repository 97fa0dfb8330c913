// SPDX-License-Identifier: Apache-2.0

import TransferBroker

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
