// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// Which of a session's reports of progress are looked at, and when there are so many that the session has to go: a
/// report is for the eyes, and is dropped without an answer, so that nothing else makes its sender slower. Pure: the
/// time is an argument.
struct ProgressMeter: Hashable, Sendable {
    /// What becomes of one report.
    enum Verdict: Hashable, Sendable {
        case passed, dropped
        /// It is dropped, and was one too many.
        case excessive
    }

    /// When the last report of a transfer was passed, of those that it still matters for.
    private var passed: [TransferID: NIODeadline] = [:]
    private var dropped = 0
    /// Until when those that are dropped are counted together.
    private var end = NIODeadline.uptimeNanoseconds(0)

    /// `transfer` is said to have got further.
    mutating func reported(_ transfer: TransferID, now: NIODeadline) -> Verdict {
        let interval = Defaults.Broker.timing.progress
        func isRecent(_ last: NIODeadline) -> Bool { now - last < interval }
        if passed[transfer] == nil, passed.count >= Defaults.Progress.transfers {
            passed = passed.filter { isRecent($0.value) }
        }
        let last = passed[transfer]
        if last == nil && passed.count < Defaults.Progress.transfers || last.map(isRecent) == false {
            passed[transfer] = now
            return .passed
        }
        if now >= end { (dropped, end) = (0, now + Defaults.Progress.interval) }
        dropped += 1
        return dropped > Defaults.Progress.mostDropped ? .excessive : .dropped
    }
}
