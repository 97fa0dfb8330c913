// SPDX-License-Identifier: Apache-2.0

/// How much memory the process may use, in bytes.
struct MemoryBudget: Hashable, Sendable {
    let bytes: UInt64

    /// - Returns: nil for a budget of nothing.
    init?(bytes: UInt64) {
        guard bytes > 0 else { return nil }
        self.bytes = bytes
    }

    /// Reads `512M`, `2g` or a plain number of bytes; the units are powers of 1024.
    init?(_ text: String) {
        let shifts: [Character: UInt64] = ["k": 10, "m": 20, "g": 30, "t": 40]
        let text = text.lowercased()
        let shift = text.last.flatMap { shifts[$0] } ?? 0
        let digits = shift == 0 ? text[...] : text.dropLast()
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = UInt64(digits)
        else { return nil }
        let (bytes, isTooLarge) = count.multipliedReportingOverflow(by: 1 << shift)
        guard !isTooLarge else { return nil }
        self.init(bytes: bytes)
    }

    /// What it means that the process has `resident` bytes in memory.
    func pressure(resident: UInt64) -> MemoryPressure {
        if resident >= Self.share(Defaults.Memory.refuseConnectionsPercent, of: bytes) { return .critical }
        return resident >= Self.share(Defaults.Memory.refuseTransfersPercent, of: bytes) ? .high : .none
    }

    private static func share(_ percent: UInt64, of bytes: UInt64) -> UInt64 {
        bytes / 100 * percent + bytes % 100 * percent / 100
    }
}
