// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What is taken from whom without asking.
struct ReceivePolicy: Hashable, Sendable {
    /// Who may send; empty lets everybody.
    var from: Set<PeerName> = []
    /// Whether what may come is taken without asking.
    var isTrusting = false
    /// The largest content in bytes; nil without a limit.
    var maximumSize: UInt64?

    /// What to do about an offer.
    enum Verdict: Hashable, Sendable {
        case accept
        case ask
        case decline(FailureCode)
    }

    /// Judges an offer.
    func judge(from peer: PeerName, size: UInt64?) -> Verdict {
        guard from.isEmpty || from.contains(peer) else { return .decline(.declined) }
        if let size, let maximumSize, size > maximumSize { return .decline(.tooLarge) }
        return isTrusting ? .accept : .ask
    }
}
