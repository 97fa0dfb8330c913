// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// How many bytes of one sender count as taken on one day. What is accepted counts at once, so that two offers at the
/// same time are not both within a limit that only one of them is within; what did not come of it is given back when it
/// is over. A transfer that goes on counts once.
package struct DayCount: Hashable, Sendable {
    /// `2026-06-01`, in the time zone of this computer.
    package private(set) var day: String
    /// The bytes of transfers that are over.
    package private(set) var settled: UInt64
    /// The bytes of each transfer that comes now, or may go on.
    package private(set) var open: [CarriedTransfer: UInt64]

    package init(day: String, settled: UInt64 = 0, open: [CarriedTransfer: UInt64] = [:]) {
        self.day = day
        self.settled = settled
        self.open = open
    }

    /// The bytes that count for the day, of what is over and of what comes.
    package var bytes: UInt64 { open.values.reduce(settled, Self.sum) }

    /// It is that day. A clock that was set back begins a new count, too: one that was wrong must not count for ever.
    package mutating func begin(day: String) {
        if day != self.day { self = DayCount(day: day) }
    }

    /// Counts a transfer of which `needed` bytes are to come; nil where that is not known before they have come.
    ///
    /// - Parameters:
    ///   - limit: of the day.
    ///   - most: of one transfer.
    /// - Returns: how many bytes may come; nil, and nothing is counted, when that is too few.
    package mutating func reserve(
        _ transfer: CarriedTransfer, needed: UInt64?, limit: UInt64, most: UInt64?
    ) -> UInt64? {
        let counted = open[transfer] ?? 0
        let others = bytes - counted
        let left = limit - min(limit, others)
        // Without a size, as much as can come: what does not is given back.
        guard let wanted = needed ?? (left == 0 ? nil : min(left, most ?? left)), wanted <= left else { return nil }
        if open.count >= TransferDefaults.mostOpenCounts, open[transfer] == nil { close() }
        open[transfer] = max(counted, wanted)
        return wanted
    }

    /// A transfer is over, and so many bytes of it have come since it was counted last.
    ///
    /// - Parameter needed: what was to come then: of what counts, the rest has come before. Nil where it was not known,
    ///   for what has no size does not come twice.
    package mutating func settle(_ transfer: CarriedTransfer, bytes: UInt64, needed: UInt64? = nil) {
        guard let counted = open.removeValue(forKey: transfer) else { return }
        let before = needed.map { counted - min(counted, $0) } ?? 0
        settled = Self.sum(settled, Self.sum(before, bytes))
    }

    /// What was begun and never came to an end is not told apart any more.
    private mutating func close() {
        settled = bytes
        open = [:]
    }

    private static func sum(_ first: UInt64, _ second: UInt64) -> UInt64 {
        let (sum, overflow) = first.addingReportingOverflow(second)
        return overflow ? .max : sum
    }
}
