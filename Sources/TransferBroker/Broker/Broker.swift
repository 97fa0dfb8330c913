// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Who is here, and what goes on between them: the sessions of each name on this node, the transfers whose home this
/// node is, their tokens, and the part of this node's sessions in transfers of other homes.
///
/// A value with one mutating method for each event, which returns what is to be done. A session on the receiving side
/// may be on any node: what it is told goes through ``notify(_:_:)``. No event but the loss of a node costs more than
/// the few sessions and transfers that it concerns.
package struct Broker: Sendable {
    /// What there is under one name.
    package struct Presence: Sendable {
        /// The sessions of that name.
        package var sessions: [SessionID] = []
        /// Those that want to be rung.
        package var receiving: [SessionID] = []
        /// Offers to that name that no receiver has accepted yet, in the order they came.
        var offers: [TransferID] = []

        package var isEmpty: Bool { sessions.isEmpty && offers.isEmpty }
    }

    /// Numbers that are kept as things happen, because counting them would mean to look at everything.
    struct Tally: Sendable {
        var activeTransfers = 0
        /// Sessions' accepts of transfers of other homes.
        var guestAccepts = 0
        var heldBytes = 0
        var receiving = 0
        var delivered: UInt64 = 0
        var failed: UInt64 = 0
        var bytesRelayed: UInt64 = 0
        var progressDropped: UInt64 = 0
    }

    package let node: NodeID
    package let limits: BrokerLimits
    package var sessions: [SessionID: BrokerSession] = [:]
    package var names: [PeerName: Presence] = [:]
    package var transfers: [TransferID: RelayedTransfer] = [:]
    var ledger: TokenLedger
    /// The tokens that are being made: of each transfer one at most.
    var mints: [TransferID: Mint] = [:]
    private var lastMint: UInt64 = 0
    package var deadlines = DeadlineQueue<TransferID>()
    /// Where the halves of this home's streams are.
    var halves: [TransferID: StreamHalves] = [:]
    /// The sessions of other nodes on the receiving side of this home's transfers.
    var remotes: [SessionID: Set<TransferID>] = [:]
    /// The transfers of other homes that concern sessions of this node.
    var remoteTransfers: [TransferID: RemoteTransfer] = [:]
    /// What each transfer takes up, and in whose name.
    var shares: [TransferID: TransferShares] = [:]
    var holdings = Holdings()
    var tally = Tally()
    package private(set) var isDraining = false
    private(set) var isShortOfMemory = false

    /// - Parameter node: this node's name, which its sessions' ids begin with.
    package init(node: NodeID = .alone, limits: BrokerLimits) {
        self.node = node
        self.limits = limits
        self.ledger = TokenLedger(lifetime: limits.tokenLifetime, capacity: limits.unclaimedTokens)
    }

    mutating func nextMint() -> UInt64 {
        lastMint += 1
        return lastMint
    }

    /// Transfers that a receiver has accepted and that are not over, of this home or with a receiver on this node: what
    /// a graceful stop waits for.
    package var activeTransfers: Int { tally.activeTransfers + tally.guestAccepts }

    /// The earliest time at which ``timerFired(now:)`` may have something to do.
    var nextDeadline: NIODeadline? { deadlines.next }

    /// Something happened at `now`: the one way in, whichever node or thread it comes from.
    package mutating func handle(_ event: BrokerEvent, now: NIODeadline) -> [BrokerAction] {
        switch event {
        case .sessionOpened(let session, let user, let request, let address):
            return sessionOpened(session, user: user, at: address, request: request)
        case .requestReceived(let message, let session, let found):
            return requestReceived(message, from: session, found, now: now)
        case .sessionClosed(let session): return sessionClosed(session, now: now)
        case .streamChanged(let transfer, let event, let node, let publicURL):
            return streamChanged(transfer, event, on: node, publicURL, now: now)
        case .tokenMinted(let token, let request): return tokenMinted(token, for: request, now: now)
        case .timerFired: return timerFired(now: now)
        case .drainBegun: return drainBegun()
        case .memoryChanged(let isShort):
            isShortOfMemory = isShort
            return []
        case .nameRemoved(let name, let key):
            return (names[name]?.sessions ?? []).filter { key == nil || sessions[$0]?.user.key != key }
                .map { .close($0, .loginFailed) }
        case .receiversAppeared(let name, let sessions): return receiversAppeared(name, sessions, now: now)
        case .messageReceived(let message, let node): return messageReceived(message, from: node, now: now)
        case .nodeLost(let node): return nodeLost(node, now: now)
        }
    }

    /// Sessions that are in no transfer which goes on leave now, so that their clients find another node at once.
    private mutating func drainBegun() -> [BrokerAction] {
        isDraining = true
        return sessions.filter { !$0.value.isBusy }.map { .close($0.key, .goingAway) }
    }

    /// The login of `session` holds; `request` is to be answered.
    package mutating func sessionOpened(
        _ session: SessionID, user: User, at address: String?, request: RequestID
    ) -> [BrokerAction] {
        guard sessions[session] == nil else { return [] }
        let opened = BrokerSession(user: user, at: address)
        if let scope = excess(of: \.sessions, by: opened.owner) {
            let refusal = LimitRefusal(Limit(.sessions, of: scope), of: opened.owner, limits)
            return refusal.actions(for: session, request) + [.close(session, .loginFailed)]
        }
        sessions[session] = opened
        holdings.add(Holding(sessions: 1), to: opened.owner)
        names[user.name, default: Presence()].sessions.append(session)
        let welcome = ServerMessage.Welcome(
            id: request, name: user.name, session: session.label, heartbeat: limits.heartbeat
        )
        return [.send(session, .welcome(welcome))]
    }

    /// The connection of `session` is gone, and with it its transfers. Harmless for a session that was never open.
    package mutating func sessionClosed(_ session: SessionID, now: NIODeadline) -> [BrokerAction] {
        guard let gone = sessions.removeValue(forKey: session) else { return [] }
        holdings.add(Holding(sessions: -1), to: gone.owner)
        let why: SessionEnd = isDraining ? .nodeStopping : .closed
        if gone.isReceiving { tally.receiving -= 1 }
        var actions = changePresence(gone.user.name) { presence in
            presence.sessions.removeAll { $0 == session }
            presence.receiving.removeAll { $0 == session }
        }
        for transfer in gone.offered.union(gone.incoming) {
            actions += change(transfer, now: now) { $0.sessionClosed(session, why) }
            actions += guestLeft(transfer, session, wasAccepted: gone.accepted.contains(transfer))
        }
        return actions
    }

    /// Deadlines may have passed.
    package mutating func timerFired(now: NIODeadline) -> [BrokerAction] {
        ledger.sweep(now: now)
        var actions: [BrokerAction] = []
        while let due = deadlines.popDue(now: now) {
            guard transfers[due.key]?.deadline == due.deadline else { continue }
            actions += change(due.key, now: now) { $0.deadlinePassed(now: now) }
        }
        return actions
    }

    /// Changes what is known of `name`, and forgets it when nothing is left. What other nodes have to know of it is
    /// announced.
    mutating func changePresence(_ name: PeerName, _ body: (inout Presence) -> Void) -> [BrokerAction] {
        let before = names.removeValue(forKey: name) ?? Presence()
        var presence = before
        body(&presence)
        if !presence.isEmpty { names[name] = presence }
        var actions: [BrokerAction] = []
        if before.receiving != presence.receiving {
            actions.append(.announce(.receiving(name, sessions: Set(presence.receiving.map(\.number)))))
        }
        if before.offers.isEmpty != presence.offers.isEmpty {
            actions.append(.announce(.waiting(name, !presence.offers.isEmpty)))
        }
        return actions
    }
}
