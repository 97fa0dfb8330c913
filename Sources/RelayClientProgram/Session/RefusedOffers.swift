// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// The offers of a session that were refused before a person could be asked about them, and whom the person was warned
/// of.
struct RefusedOffers {
    private var warned: Set<PeerName> = []
    /// How many of them were no answer to anything that this side has asked for, or brought something else.
    private(set) var unasked: UInt64 = 0

    /// One of `peer` is refused. Returns what the person is told, if anything: a warning for the first of each peer.
    mutating func add(_ error: ClientError, from peer: PeerName) -> TransferReport? {
        if case .sealing(.unasked) = error { unasked += 1 }
        if case .sealing(let cause) = error, cause.isSilent { return nil }
        let isNews = warned.count < Defaults.mostRings && warned.insert(peer).inserted
        let line = "an offer from \(peer) was refused: \(error.description)"
        return isNews ? .warning(line) : .detail(line)
    }

    /// Tells, at the end, how many there were.
    func report(to reporter: Reporter) {
        if unasked > 0 { reporter.report(.unasked(unasked)) }
    }
}
