// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What is taken from whom without asking.
package struct ReceivePolicy: Hashable, Sendable {
    /// The names that may send; empty allows all.
    package let from: Set<PeerName>
    /// Whether what may come is taken without asking.
    package let isTrusting: Bool
    /// The largest content in bytes; nil without a limit.
    package let maximumSize: UInt64?

    package init(from: Set<PeerName> = [], isTrusting: Bool = false, maximumSize: UInt64? = nil) {
        self.from = from
        self.isTrusting = isTrusting
        self.maximumSize = maximumSize
    }

    /// What to do about an offer.
    package enum Verdict: Hashable, Sendable {
        case accept
        case ask
        case decline(FailureCode)
    }

    /// Judges an offer.
    package func judge(from peer: PeerName, size: UInt64?) -> Verdict {
        guard from.isEmpty || from.contains(peer) else { return .decline(.declined) }
        if let size, let maximumSize, size > maximumSize { return .decline(.tooLarge) }
        return isTrusting ? .accept : .ask
    }
}
