// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// How much of the node one user or one address holds, or how much it may hold.
package struct Holding: Hashable, Sendable {
    package var sessions = 0
    /// Transfers that are offered, and not over.
    var offers = 0
    /// Offered transfers that no receiver has accepted; as a limit, 0 means none of its own.
    var pending = 0
    /// Transfers that are accepted, and not over.
    package var accepts = 0
    /// Bytes of payloads that wait for an answer.
    package var waitingBytes = 0
    /// Requests that may be answered.
    var requests = 0

    /// So many times as much.
    package func times(_ count: Int) -> Holding {
        func many(_ figure: Int) -> Int {
            let (product, isTooLarge) = figure.multipliedReportingOverflow(by: count)
            return isTooLarge ? .max : product
        }
        return Holding(
            sessions: many(sessions), offers: many(offers), pending: many(pending), accepts: many(accepts),
            waitingBytes: many(waitingBytes), requests: many(requests)
        )
    }

    package static func += (holding: inout Holding, other: Holding) {
        holding.sessions += other.sessions
        holding.offers += other.offers
        holding.pending += other.pending
        holding.accepts += other.accepts
        holding.waitingBytes += other.waitingBytes
        holding.requests += other.requests
    }

    static prefix func - (holding: Holding) -> Holding {
        Holding(
            sessions: -holding.sessions, offers: -holding.offers, pending: -holding.pending,
            accepts: -holding.accepts, waitingBytes: -holding.waitingBytes, requests: -holding.requests
        )
    }
}

/// What each user, and each address, holds of the node, and how much it may hold. A value that forgets who holds
/// nothing.
struct Holdings: Sendable {
    /// What a transfer takes up, and in whose name.
    struct Shares: Hashable, Sendable {
        fileprivate(set) var sender: Owner
        fileprivate(set) var sent: Holding
        fileprivate(set) var receiver: Owner?
        fileprivate(set) var received = Holding()
    }

    private var limits: BrokerLimits
    /// What users may hold of whom an operator has said so.
    private var allowances: [PeerName: Holding] = [:]
    private var users: [PeerName: Holding] = [:]
    private var addresses: [String: Holding] = [:]
    private var shares: [TransferID: Shares] = [:]
    /// Bytes of all payloads that wait for an answer.
    private(set) var waitingBytes = 0

    init(limits: BrokerLimits) {
        self.limits = limits
    }

    var isEmpty: Bool { users.isEmpty && addresses.isEmpty && shares.isEmpty && waitingBytes == 0 }

    // MARK: - What may be held, from now on

    /// Each user may hold that much, unless an operator has said something else of it, and each address.
    mutating func setLimits(user: Holding, address: Holding?) { (limits.user, limits.address) = (user, address) }

    /// `name` may hold that much; nil: as much as each user.
    mutating func setAllowance(_ holding: Holding?, of name: PeerName) { allowances[name] = holding }

    // MARK: - What is held

    /// In whose names the two sides of a transfer are, as far as that is known here.
    func parties(of transfer: TransferID) -> [Owner] {
        shares[transfer].map { [$0.sender] + ($0.receiver.map { [$0] } ?? []) } ?? []
    }

    /// `owner` has a session more.
    mutating func sessionOpened(by owner: Owner) { add(Holding(sessions: 1), to: owner) }

    /// `owner` has a session less.
    mutating func sessionClosed(of owner: Owner) { add(Holding(sessions: -1), to: owner) }

    /// `owner` waits for answers to a request more.
    mutating func requestOpened(by owner: Owner) { add(Holding(requests: 1), to: owner) }

    /// `owner` waits for answers to a request less.
    mutating func requestClosed(of owner: Owner) { add(Holding(requests: -1), to: owner) }

    /// What a transfer takes up has changed. Its bytes count for the sender until a receiver accepts, and for the
    /// receiver after that.
    ///
    /// - Parameters:
    ///   - sender: in whose name the sender's session is, if it is there still.
    ///   - receiver: in whose name the receiver's is, if there is one and it is on this node.
    mutating func apply(_ change: TransferChange, sender: Owner?, receiver: Owner?) {
        let after = change.after
        waitingBytes += after.heldBytes - change.before.heldBytes
        let old = shares[change.id]
        var new: Shares?
        if after.isThere, let sender = old?.sender ?? sender {
            var taken = Shares(sender: sender, sent: Holding(offers: 1))
            if after.receiver == nil {
                taken.sent.waitingBytes = after.heldBytes
                taken.sent.pending = 1
            } else {
                taken.receiver = old?.receiver ?? receiver ?? Owner(name: change.transfer.recipient, address: nil)
                taken.received = Holding(accepts: 1, waitingBytes: after.heldBytes)
            }
            new = taken
        }
        shares[change.id] = new
        if let old { add(old, isNew: false) }
        if let new { add(new, isNew: true) }
    }

    private mutating func add(_ shares: Shares, isNew: Bool) {
        add(isNew ? shares.sent : -shares.sent, to: shares.sender)
        if let receiver = shares.receiver { add(isNew ? shares.received : -shares.received, to: receiver) }
    }

    private mutating func add(_ holding: Holding, to owner: Owner) {
        Self.add(holding, to: owner.name, in: &users)
        if let address = owner.address { Self.add(holding, to: address, in: &addresses) }
    }

    private static func add<Key>(_ holding: Holding, to key: Key, in holdings: inout [Key: Holding]) {
        var sum = holdings[key] ?? Holding()
        sum += holding
        holdings[key] = sum == Holding() ? nil : sum
    }

    // MARK: - What may be held

    /// Why `owner` may not have one more session; nil when it may.
    func refusalOfSession(by owner: Owner) -> LimitRefusal? {
        refusal(excess(of: \.sessions, by: owner).map { Limit(.sessions, of: $0) }, of: owner)
    }

    /// Why an offer goes too far; nil when it does not.
    ///
    /// - Parameters:
    ///   - offered: how many transfers the session has offered.
    ///   - waiting: the offers that wait for the same receiver.
    func refusal(
        of offer: ClientMessage.Offer, by owner: Owner, offered: Int, waiting: [TransferID]
    ) -> LimitRefusal? {
        let limit: Limit? =
            if offered >= limits.transfersPerSession {
                Limit(.offers, of: .session)
            } else if let scope = excess(of: \.offers, by: owner) {
                Limit(.offers, of: scope)
            } else if let scope = excess(of: \.pending, by: owner) {
                Limit(.pending, of: scope)
            } else if !hasPlace(for: owner, among: waiting) {
                Limit(.offers, of: .recipient)
            } else { excess(ofBytes: offer.payload, by: owner) }
        return refusal(limit, of: owner)
    }

    /// Why a session with so many accepted transfers may not accept one more; nil when it may.
    func refusalOfAccept(by owner: Owner, accepted: Int) -> LimitRefusal? {
        refusal(accepted < limits.transfersPerSession ? nil : Limit(.accepts, of: .session), of: owner)
    }

    /// Why no session of that user may accept one more transfer of this home; nil when one may.
    func refusal(of accept: ClientMessage.Accept, by owner: Owner) -> LimitRefusal? {
        let limit: Limit? =
            if let scope = excess(of: \.accepts, by: owner) {
                Limit(.accepts, of: scope)
            } else { excess(ofBytes: accept.payload, by: owner) }
        return refusal(limit, of: owner)
    }

    /// Why a session with so many open requests, on a node with `count`, may not have one more; nil when it may.
    func refusalOfRequest(by owner: Owner, open: Int, ofNode count: Int) -> LimitRefusal? {
        let limit: Limit? =
            if open >= limits.requestsPerSession {
                Limit(.requests, of: .session)
            } else if let scope = excess(of: \.requests, by: owner) {
                Limit(.requests, of: scope)
            } else if count >= limits.openRequests {
                Limit(.requests, of: .node)
            } else { nil }
        return refusal(limit, of: owner)
    }

    private func refusal(_ limit: Limit?, of owner: Owner) -> LimitRefusal? {
        limit.map { LimitRefusal($0, of: owner, most: most($0, of: owner)) }
    }

    /// The figure of a limit that an operator has set for the user; nil for all others.
    private func most(_ limit: Limit, of owner: Owner) -> Int? {
        guard limit.scope == .user, let allowance = allowances[owner.name] else { return nil }
        return switch limit.subject {
        case .sessions: allowance.sessions
        case .offers: allowance.offers
        case .pending: allowance.pending
        case .accepts: allowance.accepts
        default: nil
        }
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

    private func excess(ofBytes payload: Payload, by owner: Owner) -> Limit? {
        // As of a receiver's places, neither a user nor an address may have more than is free.
        let free = limits.heldBytes - waitingBytes
        let bytes = payload.rawValue.utf8.count
        guard bytes <= free else { return Limit(.waitingBytes, of: .node) }
        return excess(of: \.waitingBytes, more: bytes, atMost: free, by: owner).map { Limit(.waitingBytes, of: $0) }
    }

    /// Whose limit it would break if `owner` had `more` of what `figure` says, of which there are `free`; nil when it
    /// may.
    private func excess(
        of figure: KeyPath<Holding, Int>, more: Int = 1, atMost free: Int = .max, by owner: Owner
    ) -> Limit.Scope? {
        func isTooMuch(_ held: Holding?, _ limit: Holding) -> Bool {
            let most = limit[keyPath: figure]
            if figure == \.pending, most == 0 { return false }
            return (held ?? Holding())[keyPath: figure] + more > min(most, free)
        }
        if isTooMuch(users[owner.name], allowances[owner.name] ?? limits.user) { return .user }
        guard let limit = limits.address, let address = owner.address else { return nil }
        return isTooMuch(addresses[address], limit) ? .address : nil
    }
}
