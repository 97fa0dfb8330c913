// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// Remembers which complaints were logged lately, so that a mistake that is made again and again fills no disk. A value of
/// bounded size.
struct LogRateLimiter: Sendable {
    private struct Subject: Hashable {
        var node: NodeID?
        var address: String
    }

    private var until: [Subject: NIODeadline] = [:]

    /// Whether this was not logged within `Defaults.Link.complaintInterval`; if so, it counts as logged now. With too many
    /// different ones at once, the rest goes unlogged.
    mutating func isNew(node: NodeID?, address: String, now: NIODeadline) -> Bool {
        let subject = Subject(node: node, address: address)
        if let until = until[subject], now < until { return false }
        if until.count >= Defaults.Link.complaints { until = until.filter { now < $0.value } }
        guard until.count < Defaults.Link.complaints else { return false }
        until[subject] = now + Defaults.Link.complaintInterval
        return true
    }
}
