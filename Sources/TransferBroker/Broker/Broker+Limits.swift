// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A request that is refused because of a limit, with what to do about it.
package struct LimitRefusal: Hashable, Sendable {
    package let limit: Limit
    /// Who asked.
    package let owner: Owner
    private let limits: BrokerLimits

    init(_ limit: Limit, of owner: Owner, _ limits: BrokerLimits) {
        self.limit = limit
        self.owner = owner
        self.limits = limits
    }

    /// Whether it is the client's own doing, or the relay that is full.
    package var code: FailureCode {
        switch (limit.subject, limit.scope) {
        case (.sessions, _): .tooManySessions
        case (_, .node): .unavailable
        default: .tooManyTransfers
        }
    }

    /// One sentence for a person.
    package var message: String {
        let whose =
            switch limit.scope {
            case .connection, .session: "this connection has"
            case .user: "\(owner.name) has, on all connections together,"
            case .recipient: "this receiver has, from \(owner.name), the network you come from, or all together,"
            case .address: "the network you come from has, all its users together,"
            case .node: "this relay has"
            }
        return switch limit.subject {
        case .sessions: "\(whose) as many sessions as there may be: end one first"
        case .offers: "\(whose) as many offers as there may be: wait until some of them are over"
        case .accepts: "\(whose) as many accepted transfers as there may be: wait until some of them are over"
        default: "\(whose) as much waiting for answers as there may be: wait until some of it is answered"
        }
    }

    /// The answer to `request`, and what else comes of it.
    func actions(for session: SessionID, _ request: RequestID) -> [BrokerAction] {
        [.send(session, .refusal(request, code, message)), .limitMet(limit, owner)]
    }
}

// What one session, one user, one address or the node has too much of.
extension Broker {
    /// Why an offer goes too far; nil when it does not.
    func refusal(of offer: ClientMessage.Offer, by asking: BrokerSession) -> LimitRefusal? {
        let owner = asking.owner
        let waiting = names[offer.to]?.offers ?? []
        let bytes = offer.payload.rawValue.utf8.count
        let limit: Limit? =
            if asking.offered.count >= limits.transfersPerSession {
                Limit(.offers, of: .session)
            } else if let scope = excess(of: \.offers, by: owner) {
                Limit(.offers, of: scope)
            } else if !hasPlace(for: owner, among: waiting) {
                Limit(.offers, of: .recipient)
            } else { excess(ofBytes: bytes, by: owner) }
        return limit.map { LimitRefusal($0, of: owner, limits) }
    }

    /// Whether `owner` may have one more of a receiver's places: neither the user nor the address may have more of them
    /// than are free, so that the next sender finds one.
    private func hasPlace(for owner: Owner, among waiting: [TransferID]) -> Bool {
        let free = limits.offersPerRecipient - waiting.count
        let address = limits.address == nil ? nil : owner.address
        var (ofUser, ofAddress) = (0, 0)
        for transfer in waiting {
            guard let sender = shares[transfer]?.sender else { continue }
            if sender.name == owner.name { ofUser += 1 }
            if let address, sender.address == address { ofAddress += 1 }
        }
        return ofUser < free && ofAddress < free
    }

    /// Why a session of this node may not accept one more; nil when it may.
    func refusal(of accept: ClientMessage.Accept, by asking: BrokerSession) -> LimitRefusal? {
        guard asking.accepted.count < limits.transfersPerSession else {
            return LimitRefusal(Limit(.accepts, of: .session), of: asking.owner, limits)
        }
        return refusal(of: accept, by: asking.owner)
    }

    /// Why no session of that user may accept one more transfer of this home; nil when one may.
    func refusal(of accept: ClientMessage.Accept, by owner: Owner) -> LimitRefusal? {
        let limit: Limit? =
            if let scope = excess(of: \.accepts, by: owner) {
                Limit(.accepts, of: scope)
            } else { excess(ofBytes: accept.payload.rawValue.utf8.count, by: owner) }
        return limit.map { LimitRefusal($0, of: owner, limits) }
    }

    private func excess(ofBytes bytes: Int, by owner: Owner) -> Limit? {
        // As of a receiver's places, neither a user nor an address may have more than is free.
        let free = limits.heldBytes - tally.heldBytes
        guard bytes <= free else { return Limit(.waitingBytes, of: .node) }
        var (user, address) = (limits.user, limits.address)
        user.waitingBytes = min(user.waitingBytes, free)
        address?.waitingBytes = min(address?.waitingBytes ?? free, free)
        return holdings.excess(of: \.waitingBytes, more: bytes, by: owner, user: user, address: address)
            .map { Limit(.waitingBytes, of: $0) }
    }

    /// Whose limit it would break if `owner` had `more` of what `figure` says; nil when it may.
    func excess(of figure: KeyPath<Holding, Int>, more: Int = 1, by owner: Owner) -> Limit.Scope? {
        holdings.excess(of: figure, more: more, by: owner, user: limits.user, address: limits.address)
    }
}
