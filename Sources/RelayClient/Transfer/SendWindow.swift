// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// How many contents are on their way at once. Small files go several at a time, as each costs some round trips; large
/// ones go one after the other, as they would only share the line. A receiver whose person may have to be asked is asked
/// about one content at a time. Pure.
struct SendWindow: Sendable {
    private struct Entry {
        let transfer: TransferID
        let peer: PeerName
        /// Bytes of content; all there can be where that is not known.
        let bytes: UInt64
    }

    private var entries: [Entry] = []
    /// Receivers whose client accepts at once, so that no person is asked.
    private var unasked: Set<PeerName> = []

    /// Whether `job` may be offered now, besides those that are on their way.
    func admits(_ job: SendJob) -> Bool {
        guard !entries.isEmpty else { return true }
        guard entries.count < Defaults.parallelSends else { return false }
        guard unasked.contains(job.peer) || !entries.contains(where: { $0.peer == job.peer }) else { return false }
        var left = Defaults.parallelSendBytes
        for bytes in entries.map(\.bytes) + [job.source.size ?? .max] {
            guard bytes <= left else { return false }
            left -= bytes
        }
        return true
    }

    /// `job` is offered.
    mutating func began(_ job: SendJob) {
        entries.append(Entry(transfer: job.transfer, peer: job.peer, bytes: job.source.size ?? .max))
    }

    /// `job` is over.
    mutating func ended(_ job: SendJob) { entries.removeAll { $0.transfer == job.transfer } }

    /// The receiver of `job` accepted it, so long after it was rung.
    mutating func accepted(_ job: SendJob, after wait: TimeAmount) {
        // With several on their way, one may have waited for another.
        guard entries.count(where: { $0.peer == job.peer }) <= 1 else { return }
        if wait <= Defaults.unaskedAnswer { unasked.insert(job.peer) } else { unasked.remove(job.peer) }
    }
}
