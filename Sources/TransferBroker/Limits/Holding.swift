// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// How much of the node one user or one address holds, or how much it may hold.
package struct Holding: Hashable, Sendable {
    package var sessions = 0
    /// Transfers that are offered, and not over.
    var offers = 0
    /// Transfers that are accepted, and not over.
    package var accepts = 0
    /// Bytes of payloads that wait for an answer.
    package var waitingBytes = 0

    /// So many times as much.
    package func times(_ count: Int) -> Holding {
        func many(_ figure: Int) -> Int {
            let (product, isTooLarge) = figure.multipliedReportingOverflow(by: count)
            return isTooLarge ? .max : product
        }
        return Holding(
            sessions: many(sessions), offers: many(offers), accepts: many(accepts), waitingBytes: many(waitingBytes)
        )
    }

    package static func += (holding: inout Holding, other: Holding) {
        holding.sessions += other.sessions
        holding.offers += other.offers
        holding.accepts += other.accepts
        holding.waitingBytes += other.waitingBytes
    }

    static prefix func - (holding: Holding) -> Holding {
        Holding(
            sessions: -holding.sessions, offers: -holding.offers, accepts: -holding.accepts,
            waitingBytes: -holding.waitingBytes
        )
    }
}

/// In whose name a session is, and where.
package struct Owner: Hashable, Sendable {
    package var name: PeerName
    /// The address whose limits it shares; nil when there are none.
    package var address: String?
}

/// What a transfer takes up, and in whose name.
struct TransferShares: Hashable, Sendable {
    var sender: Owner
    var sent: Holding
    var receiver: Owner?
    var received = Holding()
}

/// What each user, and each address, holds of the node: of all sessions together. A value that forgets who holds nothing.
struct Holdings: Sendable {
    private var users: [PeerName: Holding] = [:]
    private var addresses: [String: Holding] = [:]

    var isEmpty: Bool { users.isEmpty && addresses.isEmpty }

    /// `owner` has that much more, or less.
    mutating func add(_ holding: Holding, to owner: Owner) {
        Self.add(holding, to: owner.name, in: &users)
        if let address = owner.address { Self.add(holding, to: address, in: &addresses) }
    }

    /// What a transfer takes up has changed.
    mutating func replace(_ before: TransferShares?, with after: TransferShares?) {
        for (shares, isNew) in [(before, false), (after, true)] {
            guard let shares else { continue }
            add(isNew ? shares.sent : -shares.sent, to: shares.sender)
            if let receiver = shares.receiver { add(isNew ? shares.received : -shares.received, to: receiver) }
        }
    }

    /// Whose limit it would break if `owner` had `more` of what `figure` says; nil when it may.
    ///
    /// - Parameters:
    ///   - user: what a user may hold.
    ///   - address: what there may be of one address; nil without a limit.
    func excess(
        of figure: KeyPath<Holding, Int>, more: Int = 1, by owner: Owner, user: Holding, address: Holding?
    ) -> Limit.Scope? {
        let ofUser = users[owner.name, default: Holding()][keyPath: figure]
        if ofUser + more > user[keyPath: figure] { return .user }
        guard let address, let place = owner.address else { return nil }
        let ofAddress = addresses[place, default: Holding()][keyPath: figure]
        return ofAddress + more > address[keyPath: figure] ? .address : nil
    }

    private static func add<Key>(_ holding: Holding, to key: Key, in holdings: inout [Key: Holding]) {
        var sum = holdings[key] ?? Holding()
        sum += holding
        holdings[key] = sum == Holding() ? nil : sum
    }
}
