// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// What the receiver remembers about offers, so that the same one made again needs no second question and makes no
/// second file. Bounded: the oldest entries go first. Pure: the time is an argument.
package struct OfferMemory: Sendable {
    /// What tells that an offer is the same: who signs for it, and the identity it carries.
    package struct Key: Hashable, Sendable {
        package let sender: SigningKey
        package let identity: OfferIdentity

        package init(sender: SigningKey, identity: OfferIdentity) {
            self.sender = sender
            self.identity = identity
        }
    }

    /// An offer that was accepted and whose transfer broke.
    package struct Interrupted: Hashable, Sendable {
        /// As it was shown.
        package let label: TransferLabel
        /// What to say about it if it is not made again.
        package let problem: Problem
        /// When it is forgotten.
        package let until: NIODeadline
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
        case finished(ContentSummary)
    }

    package init() {}

    private var entries: [Key: RememberedOffer] = [:]
    /// The keys in the order in which they came, each once.
    private var order: [Key] = []
    /// How many entries are of interrupted transfers: mostly there is none, and this is asked after each event.
    private var interruptions = 0

    /// An accepted offer's transfer broke at `now`.
    package mutating func rememberAcceptance(_ key: Key, _ label: TransferLabel, _ problem: Problem, now: NIODeadline) {
        set(
            key,
            .accepted(
                Interrupted(label: label, problem: problem, until: now + TransferDefaults.interruptedOfferLifetime))
        )
    }

    /// An offer's content was stored.
    package mutating func finished(_ key: Key, _ summary: ContentSummary) { set(key, .finished(summary)) }

    /// What is known about an offer of `name` and `size`; nil when that is nothing, or when under the same identity
    /// something else is offered.
    package func recall(_ key: Key, name: String, size: UInt64?) -> RememberedOffer? {
        switch entries[key] {
        case .accepted(let entry)? where entry.label.name == name && entry.label.size == size: .accepted(entry)
        case .finished(let summary)? where size == nil || size == summary.size: .finished(summary)
        case .accepted, .finished, nil: nil
        }
    }

    /// The interrupted offer is being received again, or will not be.
    package mutating func forget(_ key: Key) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        if case .accepted = entry { interruptions -= 1 }
        // What is forgotten is mostly among the oldest: it made room.
        if let index = order.firstIndex(of: key) { order.remove(at: index) }
    }

    /// When the next interrupted offer is forgotten.
    package var deadline: NIODeadline? {
        guard interruptions > 0 else { return nil }
        return entries.values.compactMap { entry in
            if case .accepted(let interrupted) = entry { interrupted.until } else { nil }
        }.min()
    }

    /// Forgets the interrupted offers whose time is over, and returns them in the order in which they came.
    package mutating func expire(now: NIODeadline) -> [Interrupted] {
        let expired: [(Key, Interrupted)] = order.compactMap { key in
            guard case .accepted(let entry)? = entries[key], entry.until <= now else { return nil }
            return (key, entry)
        }
        for (key, _) in expired { forget(key) }
        return expired.map(\.1)
    }

    private mutating func set(_ key: Key, _ entry: RememberedOffer) {
        forget(key)
        if order.count >= TransferDefaults.mostRememberedOffers { forget(order[0]) }
        entries[key] = entry
        if case .accepted = entry { interruptions += 1 }
        order.append(key)
    }
}
