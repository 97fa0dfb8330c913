// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// What the receiver remembers about offers, so that the same one made again needs no second question and makes no
/// second file. It lasts as long as the receiver does, since only the sender knows how long it goes on; bounded: the
/// oldest entries go first.
package struct OfferMemory: Sendable {
    /// What tells that an offer is the same: who signs for it, and the transfer that it is an attempt of.
    package struct Key: Hashable, Sendable {
        package let sender: SigningKey
        package let transfer: CarriedTransfer

        package init(sender: SigningKey, transfer: CarriedTransfer) {
            self.sender = sender
            self.transfer = transfer
        }
    }

    /// An offer that was accepted and whose transfer broke.
    package struct Interrupted: Hashable, Sendable {
        /// What the person was shown of it.
        package let label: TransferLabel
        /// What to say about it when it is forgotten.
        package let problem: Problem
        /// What the person, or the policy, said yes to.
        package let accepted: OfferSummary

        /// Whether its sender has said that it begins again, as another transfer.
        fileprivate var isRestarted: Bool { problem.code == FailureCode.sourceChanged.rawValue }
    }

    /// Why a transfer did not come to its end.
    package struct Problem: Hashable, Sendable {
        package let code: String
        package let message: String
        /// What a program ends with because of it.
        package let status: ExitStatus

        package init(code: String, message: String, status: ExitStatus) {
            self.code = code
            self.message = message
            self.status = status
        }
    }

    /// What is known about an offer.
    package enum RememberedOffer: Hashable, Sendable {
        /// The person, or the policy, said yes to it before.
        case accepted(Interrupted)
        /// Its content is here, verified and stored.
        case finished(FinishedTransfer)
    }

    package init() {}

    private var entries: [Key: RememberedOffer] = [:]
    /// The keys in the order in which they came, each once.
    private var order: [Key] = []

    /// An accepted offer's transfer broke. Returns the one that made room, if it was interrupted too.
    ///
    /// - Parameter accepted: what was said yes to, where it has changed since.
    package mutating func rememberAcceptance(
        _ key: Key, _ label: TransferLabel, _ problem: Problem, accepted: OfferSummary? = nil
    ) -> Interrupted? {
        set(key, .accepted(Interrupted(label: label, problem: problem, accepted: accepted ?? label.summary)))
    }

    /// An offer's content was stored. Returns the one that made room, if it was interrupted.
    package mutating func finished(_ key: Key, _ transfer: FinishedTransfer) -> Interrupted? {
        set(key, .finished(transfer))
    }

    /// What is known about an offer; nil when that is nothing, or when under the same transfer something else is
    /// offered.
    package func recall(_ key: Key, _ summary: OfferSummary) -> RememberedOffer? {
        switch entries[key] {
        case .accepted(let entry)? where entry.label.summary.offersSame(as: summary): .accepted(entry)
        case .finished(let transfer)? where summary.bytes ?? transfer.delivered.bytes == transfer.delivered.bytes:
            .finished(transfer)
        case .accepted, .finished, nil: nil
        }
    }

    /// What `sender` was sending when it changed, if an offer may be that content as it is now: it is called the same,
    /// and is hardly more than what was accepted.
    package func restarted(by sender: SigningKey, _ summary: OfferSummary) -> Key? {
        order.last { key in
            guard key.sender == sender, let entry = interrupted(key) else { return false }
            return entry.isRestarted && entry.accepted.mayBecome(summary)
        }
    }

    /// What is known of an offer whose transfer broke.
    package func interrupted(_ key: Key) -> Interrupted? {
        if case .accepted(let entry)? = entries[key] { entry } else { nil }
    }

    /// The interrupted offer is being received again, or will not be.
    package mutating func forget(_ key: Key) {
        guard entries.removeValue(forKey: key) != nil else { return }
        // What is forgotten is mostly among the oldest: it made room.
        if let index = order.firstIndex(of: key) { order.remove(at: index) }
    }

    private mutating func set(_ key: Key, _ entry: RememberedOffer) -> Interrupted? {
        forget(key)
        var forgotten: Interrupted?
        if order.count >= TransferDefaults.mostRememberedOffers {
            if case .accepted(let interrupted)? = entries[order[0]] { forgotten = interrupted }
            forget(order[0])
        }
        entries[key] = entry
        order.append(key)
        return forgotten
    }
}

extension OfferSummary {
    /// Whether someone who said yes to this need not be asked about `other`.
    fileprivate func mayBecome(_ other: OfferSummary) -> Bool {
        let growth = TransferDefaults.unaskedGrowth
        func admits(_ before: UInt64?, _ now: UInt64?, _ least: UInt64) -> Bool {
            guard let before, let now else { return before == now }
            return now <= before || now - before <= max(before / growth.part, least)
        }
        return names == other.names && kind == other.kind && admits(bytes, other.bytes, growth.bytes)
            && admits(entries, other.entries, growth.entries)
    }
}

/// A transfer that is stored, and what its sender may have to be told once more.
package struct FinishedTransfer: Hashable, Sendable {
    package let delivered: DeliveredSummary
    /// How many files its manifest has.
    package let files: UInt64

    package init(delivered: DeliveredSummary, files: UInt64) {
        self.delivered = delivered
        self.files = files
    }
}
