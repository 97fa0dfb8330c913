// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What is taken from whom without asking, by one command line and the policies that stand in the profile. Of two rules
/// the stricter one wins, but that the answer for those without a policy is the command line's own.
package struct ReceivePolicy: Hashable, Sendable {
    /// The names that may send; empty allows all.
    package let from: Set<PeerName>
    /// Whether what may come from senders without a policy is taken without asking.
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
        case decline(Refusal)
    }

    /// Why an offer is declined.
    package enum Refusal: Hashable, Sendable {
        /// The person said no.
        case person
        /// `--from` names others.
        case notNamed
        /// The policy of its sender is to refuse.
        case policy
        /// The person would have to be asked, and there is no terminal.
        case unattended
        /// - isOfPolicy: whether the limit is that of the sender's policy.
        case tooLarge(limit: UInt64, isOfPolicy: Bool)
        /// With it, the sender would be over what its policy allows on one day.
        case tooMuchToday(limit: UInt64)

        /// What the sender is told.
        package var code: FailureCode {
            switch self {
            case .person, .notNamed, .policy, .unattended: .declined
            case .tooLarge, .tooMuchToday: .tooLarge
            }
        }
    }

    /// Judges an offer.
    ///
    /// - Parameters:
    ///   - size: bytes of content; nil where that is not known.
    ///   - standing: the sender's policy.
    ///   - today: bytes that count as taken from the sender today.
    package func judge(from peer: PeerName, size: UInt64?, standing: SenderPolicy?, today: UInt64) -> Verdict {
        guard from.isEmpty || from.contains(peer) else { return .decline(.notNamed) }
        if standing?.answer == .refuse { return .decline(.policy) }
        if let size, let maximumSize, size > maximumSize {
            return .decline(.tooLarge(limit: maximumSize, isOfPolicy: false))
        }
        if let size, let limit = standing?.maximumSize, size > limit {
            return .decline(.tooLarge(limit: limit, isOfPolicy: true))
        }
        if let limit = standing?.maximumDay, today >= limit ? size != 0 : size ?? 0 > limit - today {
            return .decline(.tooMuchToday(limit: limit))
        }
        switch standing?.answer {
        case .accept: return .accept
        case .ask: return .ask
        case nil, .refuse: return isTrusting ? .accept : .ask
        }
    }

    /// The most bytes of one content from a sender of that policy; nil without a limit.
    package func limit(standing: SenderPolicy?) -> UInt64? {
        [maximumSize, standing?.maximumSize].compactMap(\.self).min()
    }
}

extension TransferFailure {
    /// Why this side declined what `peer` offered.
    package init(refusing refusal: ReceivePolicy.Refusal, from peer: PeerName) {
        let policy = "relay-client peers policy \(peer)"
        let (what, advice): (String, String)
        switch refusal {
        case .person:
            self.init(refusal.code, side: .receiver, peer: peer)
            return
        case .notNamed: (what, advice) = ("was declined, as --from names others", "nothing to do")
        case .policy:
            (what, advice) = (
                "was declined, as the policy for \(peer) is to refuse", "to be asked again: \(policy) ask"
            )
        case .unattended:
            (what, advice) = (
                "was declined, as there is no terminal to ask on",
                "to take what \(peer) sends: \(policy) accept"
            )
        case .tooLarge(_, isOfPolicy: false):
            (what, advice) = ("is larger than --max-size", "raise --max-size to take it")
        case .tooLarge(_, isOfPolicy: true):
            (what, advice) = (
                "is larger than the policy for \(peer) allows", "to take it: \(policy) --max-size SIZE"
            )
        case .tooMuchToday:
            (what, advice) = (
                "is more than the policy for \(peer) allows on one day",
                "take it tomorrow, or: \(policy) --max-day SIZE"
            )
        }
        self.init(code: refusal.code, "it " + what, advice)
    }
}
