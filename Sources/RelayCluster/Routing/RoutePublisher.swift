// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol

/// Keeps in Redis what this node has: a pure value, told of changes, of the passing of time, and of what became of its
/// announcements, of which there is one at a time.
///
/// What is to stand in Redis is held here; what is announced is read from that at the last moment, so the newest state
/// is always written last. Nothing is written while another process has the node's id.
struct RoutePublisher: Sendable {
    /// How the node stands with Redis.
    enum State: Hashable, Sendable {
        /// Redis cannot be reached.
        case away
        /// Redis can be reached, and the node's place there has to be taken.
        case joining
        /// The place is this process's.
        case held
        /// The place is another process's.
        case taken
        /// The node takes everything away.
        case leaving
        /// The node has taken everything away.
        case gone
    }

    /// The most of each.
    struct Limits: Hashable, Sendable {
        /// Keys that are written at once.
        var batch = Defaults.Routing.keysPerBatch
        var tokens = Defaults.Broker.unclaimedTokens
    }

    let node: NodeID
    let incarnation: Incarnation
    /// Where this node is dialled: an earlier start of it had the same. Nil before it is known.
    private(set) var address: ListenAddress?
    /// Whether only this process can be dialled there: then an earlier process that announced the address has ended.
    private var ownsAddress = false
    private let timing: RoutingTiming
    private let limits: Limits

    private(set) var state = State.away
    private(set) var epoch: Epoch?
    /// The last one in which everything that was there had been written.
    private(set) var written: Epoch?
    /// The last one of which the presence in Redis says so.
    private var announced: Epoch?
    /// Whether the place has been this process's since the start: only before that an earlier start of this node can
    /// stand there.
    private(set) var hasHeld = false

    private(set) var receiving: [PeerName: Set<UInt64>] = [:]
    private(set) var sharing: Set<PeerName> = []
    private(set) var waiting: Set<PeerName> = []
    private(set) var homes: Set<TransferID> = []
    private(set) var tokens: [TokenDigest: NIODeadline] = [:]

    /// Changes come before renewals, so that many routes do not make a change slow.
    private var changed = OrderedQueue<ClusterRoute>()
    private var renewed = OrderedQueue<ClusterRoute>()
    private var users = OrderedQueue<User>(capacity: Defaults.Routing.cachedUsers)
    /// Names whose routes changed and have not been looked up from here since.
    private var unseen: Set<ClusterRoute> = []
    private var inFlight: Publication?
    /// When the presence was last asked for, and when the one that stands was.
    private var askedAt: NIODeadline?
    private var stoodAt: NIODeadline?
    /// Whether the announcement in flight was made on a connection that has closed.
    private var isStale = false
    private var isPresenceDue = false
    /// After a failure nothing more is tried until time passes or Redis comes back; after one of users, no users are.
    private var isBlocked = false
    private var areUsersBlocked = false
    private var replacing: String?
    private var mayReplace = true
    private var rival: Rival?

    /// Another process's presence in this node's place, as it was seen last.
    private struct Rival: Sendable {
        var text: String
        var remaining: TimeAmount
        /// What remained of its life when it was seen first since it was renewed.
        var longest: TimeAmount
    }

    init(
        node: NodeID, incarnation: Incarnation, timing: RoutingTiming = RoutingTiming(), limits: Limits = Limits()
    ) {
        self.node = node
        self.incarnation = incarnation
        self.timing = timing
        self.limits = limits
    }

    /// This node is dialled at `address` from now on.
    mutating func begin(at address: ListenAddress, ownsAddress: Bool) {
        (self.address, self.ownsAddress) = (address, ownsAddress)
    }
}

// MARK: - What the node has

extension RoutePublisher {
    mutating func setReceiving(_ name: PeerName, sessions: Set<UInt64>) {
        guard receiving[name] ?? [] != sessions else { return }
        receiving[name] = sessions.isEmpty ? nil : sessions
        change(.receiving(name), isLookedFor: !sessions.isEmpty)
    }

    /// No node is notified of it: that of a client that asks looks it up at that moment.
    mutating func setSharing(_ name: PeerName, _ isSharing: Bool) {
        guard sharing.contains(name) != isSharing else { return }
        if isSharing { sharing.insert(name) } else { sharing.remove(name) }
        change(.sharing(name))
    }

    mutating func setWaiting(_ name: PeerName, _ isWaiting: Bool) {
        guard waiting.contains(name) != isWaiting else { return }
        if isWaiting { waiting.insert(name) } else { waiting.remove(name) }
        change(.waiting(name), isLookedFor: isWaiting)
    }

    mutating func addHome(_ transfer: TransferID) {
        if homes.insert(transfer).inserted { change(.transfer(transfer)) }
    }

    mutating func removeHome(_ transfer: TransferID) {
        if homes.remove(transfer) != nil { change(.transfer(transfer)) }
    }

    /// Returns false when there are too many tokens.
    mutating func addToken(_ digest: TokenDigest, expiry: NIODeadline) -> Bool {
        guard tokens[digest] != nil || tokens.count < limits.tokens else { return false }
        tokens[digest] = expiry
        change(.token(digest))
        return true
    }

    mutating func removeToken(_ digest: TokenDigest) {
        if tokens.removeValue(forKey: digest) != nil { change(.token(digest)) }
    }

    /// Users that this node has seen: those that Redis has lost are written again.
    mutating func restore(_ seen: [User]) {
        for user in seen where !users.append(user) { break }
    }

    private mutating func change(_ route: ClusterRoute, isLookedFor: Bool = false) {
        if isLookedFor { unseen.insert(route) } else { unseen.remove(route) }
        // While nothing can be written, nothing piles up either: joining writes all that is there, and what was
        // withdrawn meanwhile expires by itself.
        switch state {
        case .held: _ = changed.append(route)
        case .away, .joining, .taken, .leaving, .gone: break
        }
    }
}

// MARK: - Connection and time

extension RoutePublisher {
    /// Redis can be reached.
    mutating func connected() {
        switch state {
        case .away, .joining, .held, .taken:
            state = .joining
            isPresenceDue = true
        case .leaving, .gone: break
        }
        (isBlocked, areUsersBlocked) = (false, false)
        isStale = inFlight != nil
    }

    /// Redis cannot be reached. What was in flight is told separately.
    mutating func disconnected() {
        switch state {
        case .away, .joining, .held, .taken: state = .away
        case .leaving, .gone: break
        }
        changed.removeAll()
        renewed.removeAll()
    }

    /// It is time to renew.
    mutating func tick(now: NIODeadline) {
        for (digest, expiry) in tokens where expiry <= now { tokens[digest] = nil }
        (isBlocked, areUsersBlocked) = (false, false)
        mayReplace = true
        if state == .held, let stoodAt, now >= stoodAt + timing.life {
            // Redis answers, and does not take what it is told: the place has run out.
            state = .joining
            changed.removeAll()
            renewed.removeAll()
        }
        switch state {
        case .joining, .taken: isPresenceDue = true
        case .held:
            isPresenceDue = true
            // A round of renewals that is not over yet is finished first, or its end would never come to be renewed.
            if renewed.isEmpty { for route in routes { _ = renewed.append(route) } }
        case .away, .leaving, .gone: break
        }
    }

    /// A reply or a notification says that the epoch may have changed: find out.
    mutating func checkEpoch() {
        switch state {
        case .joining, .held, .taken: isPresenceDue = true
        case .away, .leaving, .gone: break
        }
    }

    /// The node is about to end: everything is taken away.
    mutating func leave() {
        switch state {
        case .held:
            state = .leaving
            isPresenceDue = true
            for route in routes { _ = changed.append(route) }
        case .away, .joining, .taken: state = .gone
        case .leaving, .gone: break
        }
        receiving = [:]
        sharing = []
        waiting = []
        homes = []
        tokens = [:]
        unseen = []
        users.removeAll()
        renewed.removeAll()
    }

    /// All there is to be in Redis.
    private var routes: [ClusterRoute] {
        var routes = receiving.keys.map(ClusterRoute.receiving)
        routes += sharing.map(ClusterRoute.sharing)
        routes += waiting.map(ClusterRoute.waiting)
        routes += homes.map(ClusterRoute.transfer)
        routes += tokens.keys.map(ClusterRoute.token)
        return routes
    }
}

// MARK: - Announcements

extension RoutePublisher {
    /// The next thing Redis has to be told; nil when there is none, or the last one is not through yet.
    mutating func next(now: NIODeadline) -> Publication? {
        guard inFlight == nil, !isBlocked else { return nil }
        switch state {
        case .away, .gone: return nil
        case .joining, .held, .taken, .leaving: inFlight = pending(now: now)
        }
        return inFlight
    }

    private mutating func pending(now: NIODeadline) -> Publication? {
        let isWritten = state == .held && changed.isEmpty && users.isEmpty
        // Other nodes wait for a presence in the new epoch, and so it does not wait for the next renewal.
        if isPresenceDue || isWritten && announced != epoch {
            isPresenceDue = false
            askedAt = now
            if isWritten { written = epoch }
            defer { replacing = nil }
            return state == .leaving ? .leave : .presence(replacing: replacing)
        }
        guard state == .held || state == .leaving else { return nil }
        var writes = changed.popFirst(limits.batch).map { write($0, now: now) }
        if writes.isEmpty { writes = renewed.popFirst(limits.batch).map { write($0, now: now) } }
        if !writes.isEmpty { return .routes(writes) }
        let users = areUsersBlocked ? [] : users.popFirst(min(limits.batch, Defaults.Routing.usersPerBatch))
        return users.isEmpty ? nil : .users(users)
    }

    private func write(_ route: ClusterRoute, now: NIODeadline) -> RouteWrite {
        switch route {
        case .receiving(let name):
            let value = receiving[name].map {
                RouteValue.Receiving(incarnation: incarnation, sessions: Array($0)).text
            }
            return RouteWrite(route: route, value: value, life: timing.life)
        case .sharing(let name):
            let value = sharing.contains(name) ? incarnation.rawValue : nil
            return RouteWrite(route: route, value: value, life: timing.life)
        case .waiting(let name):
            let value = waiting.contains(name) ? incarnation.rawValue : nil
            return RouteWrite(route: route, value: value, life: timing.life)
        case .transfer(let transfer):
            let value = homes.contains(transfer) ? incarnation.rawValue : nil
            return RouteWrite(route: route, value: value, life: timing.life)
        case .token(let digest):
            let life = tokens[digest].map { $0 - now } ?? .nanoseconds(0)
            let value = life >= .milliseconds(1) ? RouteValue.Home(node: node, incarnation: incarnation).text : nil
            // Renewed like everything else, it is gone as soon when this node is.
            return RouteWrite(route: route, value: value, life: min(life, timing.life))
        }
    }

    /// The presence was answered.
    mutating func answered(_ outcome: PresenceOutcome) -> [RoutePublisherAction] {
        guard case .presence = inFlight else { return [] }
        inFlight = nil
        isStale = false
        switch state {
        case .joining, .held, .taken: break
        case .away, .leaving, .gone: return []
        }
        switch outcome {
        case .held(let epoch, let isNew, let others): return held(epoch, isNew: isNew, others: others)
        case .taken(let text, let remaining): return taken(text, remaining: remaining)
        }
    }

    private mutating func held(_ found: Epoch, isNew: Bool, others: Int) -> [RoutePublisherAction] {
        var actions: [RoutePublisherAction] = [.joined(found, others: others)]
        let isOther = epoch != nil && epoch != found
        if isOther || state != .held {
            renewed.removeAll()
            for route in routes { _ = changed.append(route) }
        }
        if isOther { actions.append(.emptied) }
        // A Redis that comes back may be an older one, with the same epoch.
        if isOther || hasHeld && state != .held { actions.append(.restoreUsers) }
        if isNew { actions.append(.announceEpoch) }
        if state == .held, written == found, announced != found {
            announced = found
            actions.append(.everythingWritten)
        }
        (state, epoch, hasHeld, rival, stoodAt) = (.held, found, true, nil, askedAt)
        return actions
    }

    private mutating func taken(_ text: String, remaining: TimeAmount) -> [RoutePublisherAction] {
        state = .taken
        changed.removeAll()
        renewed.removeAll()
        let presence = NodePresence(text)
        let isRenewed = rival.map { remaining > $0.remaining } ?? false
        let longest = rival?.text == text && !isRenewed ? rival?.longest ?? remaining : remaining
        rival = Rival(text: text, remaining: remaining, longest: longest)
        // A live process renews in time. That only one of two has the address, which a copied configuration may deny,
        // is known where no other process can be dialled there.
        let isSilent = longest - remaining > timing.silence
        if !hasHeld, mayReplace, let address, presence?.address == address, ownsAddress || isSilent {
            // It was an earlier start of this node.
            (mayReplace, replacing, isPresenceDue) = (false, text, true)
            return []
        }
        return [.taken(presence, isRenewed: isRenewed)]
    }

    /// Anything else than the presence came through.
    mutating func succeeded() -> [RoutePublisherAction] {
        defer { inFlight = nil }
        isStale = false
        switch inFlight {
        case .routes(let writes):
            return writes.flatMap { write in write.value == nil ? [] : stands(write.route) } + end()
        case .leave: return end()
        case .users: return []
        case .presence, nil: return []
        }
    }

    private mutating func stands(_ route: ClusterRoute) -> [RoutePublisherAction] {
        switch route {
        case .receiving(let name): unseen.remove(route) == nil ? [] : [.notifyHomes(name)]
        case .waiting(let name): unseen.remove(route) == nil ? [] : [.findReceivers(name)]
        case .sharing, .transfer: []
        case .token(let digest): [.published(digest)]
        }
    }

    private mutating func end() -> [RoutePublisherAction] {
        guard state == .leaving, changed.isEmpty, !isPresenceDue else { return [] }
        state = .gone
        return [.left]
    }

    /// The announcement may or may not have come through: it is made again.
    mutating func failed() -> [RoutePublisherAction] {
        defer { inFlight = nil }
        if case .users(let lost) = inFlight {
            restore(lost)
            areUsersBlocked = !isStale
        } else {
            isBlocked = !isStale
        }
        isStale = false
        switch state {
        case .held:
            if case .routes(let writes) = inFlight { for write in writes { _ = changed.append(write.route) } }
            return []
        case .leaving:
            state = .gone
            return [.left]
        case .away, .joining, .taken, .gone: return []
        }
    }
}
