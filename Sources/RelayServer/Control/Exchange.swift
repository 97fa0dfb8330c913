// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Who is here, and what goes on between them: the sessions of each name, the transfers, and their tokens.
///
/// A value with one mutating method for each event, which returns what is to be done. It knows sessions by their id
/// only, and what it asks for are messages to ids: nothing in here assumes that a session is on this node. No event
/// costs more than the few sessions and transfers that it concerns.
struct Exchange: Sendable {
    /// What there is under one name.
    struct Presence: Sendable {
        /// The sessions of that name; at most `sessionsPerName`.
        var sessions: [SessionID] = []
        /// Those that want to be rung.
        var receiving: [SessionID] = []
        /// Offers to that name that nobody has accepted yet, in the order they came.
        var offers: [TransferID] = []

        var isEmpty: Bool { sessions.isEmpty && offers.isEmpty }
    }

    /// Numbers that are kept as things happen, because counting them would mean to look at everything.
    struct Tally: Sendable {
        var activeTransfers = 0
        var heldBytes = 0
        var receiving = 0
        var delivered: UInt64 = 0
        var failed: UInt64 = 0
        var bytesRelayed: UInt64 = 0
    }

    let limits: ExchangeLimits
    var sessions: [SessionID: ExchangeSession] = [:]
    var names: [PeerName: Presence] = [:]
    var transfers: [TransferID: RelayedTransfer] = [:]
    var ledger: TokenLedger
    var deadlines = DeadlineQueue<TransferID>()
    var tally = Tally()
    private(set) var isDraining = false

    init(limits: ExchangeLimits) {
        self.limits = limits
        self.ledger = TokenLedger(lifetime: limits.tokenLifetime, capacity: limits.unclaimedTokens)
    }

    /// Transfers that somebody has accepted and that are not over: what a graceful stop waits for.
    var activeTransfers: Int { tally.activeTransfers }

    /// The earliest time at which ``timerFired(now:)`` may have something to do.
    var nextDeadline: NIODeadline? { deadlines.next }

    /// Something happened at `now`: the one way in, whichever node or thread it comes from.
    mutating func handle(_ event: ExchangeEvent, now: NIODeadline) -> [ExchangeAction] {
        switch event {
        case .sessionOpened(let session, let user, let request):
            return sessionOpened(session, user: user, request: request)
        case .requestReceived(let request, let session): return requestReceived(request, from: session, now: now)
        case .sessionClosed(let session): return sessionClosed(session, now: now)
        case .streamChanged(let transfer, let event): return streamChanged(transfer, event, now: now)
        case .timerFired: return timerFired(now: now)
        case .drainBegun:
            isDraining = true
            return []
        case .nameRemoved(let name):
            return names[name]?.sessions.map { .close($0, .policyViolation) } ?? []
        }
    }

    /// The login of `session` holds; `request` is to be answered.
    mutating func sessionOpened(_ session: SessionID, user: User, request: RequestID) -> [ExchangeAction] {
        guard sessions[session] == nil else { return [] }
        guard names[user.name]?.sessions.count ?? 0 < limits.sessionsPerName else {
            return [.send(session, .refusal(request, .tooManySessions)), .close(session, .loginFailed)]
        }
        sessions[session] = ExchangeSession(user: user)
        names[user.name, default: Presence()].sessions.append(session)
        let welcome = ServerMessage.Welcome(
            id: request, name: user.name, session: session.label, heartbeat: limits.heartbeat
        )
        return [.send(session, .welcome(welcome))]
    }

    /// The connection of `session` is gone, and with it its transfers. Harmless for a session that was never open.
    mutating func sessionClosed(_ session: SessionID, now: NIODeadline) -> [ExchangeAction] {
        guard let gone = sessions.removeValue(forKey: session) else { return [] }
        if gone.isReceiving { tally.receiving -= 1 }
        changePresence(gone.user.name) { presence in
            presence.sessions.removeAll { $0 == session }
            presence.receiving.removeAll { $0 == session }
        }
        return gone.offered.union(gone.incoming).flatMap { transfer in
            change(transfer, now: now) { $0.sessionClosed(session) }
        }
    }

    /// Uses `token` up for the half `role`; nil when it is no good. See ``TokenLedger/claim(_:as:now:)``.
    mutating func claim(_ token: Token, as role: TransferRole, now: NIODeadline) -> TransferID? {
        ledger.claim(token, as: role, now: now)
    }

    /// The byte path reports about `transfer`.
    mutating func streamChanged(
        _ transfer: TransferID, _ event: StreamEvent, now: NIODeadline
    ) -> [ExchangeAction] {
        switch event {
        case .downloadParked:
            // Without a token for the sender there will be no stream.
            let canGoOn = ledger.hasRoom(now: now)
            return change(transfer, now: now) {
                canGoOn ? $0.downloadParked(now: now) : $0.streamCut(.unavailable, now: now)
            }
        case .joined: return change(transfer, now: now) { $0.streamJoined() }
        case .finished(let bytes):
            tally.bytesRelayed &+= bytes
            return change(transfer, now: now) { $0.streamFinished(now: now) }
        case .cut(let code, let bytes):
            tally.bytesRelayed &+= bytes
            return change(transfer, now: now) { $0.streamCut(code, now: now) }
        }
    }

    /// Deadlines may have passed.
    mutating func timerFired(now: NIODeadline) -> [ExchangeAction] {
        ledger.sweep(now: now)
        var actions: [ExchangeAction] = []
        while let due = deadlines.popDue(now: now) {
            guard transfers[due.key]?.deadline == due.deadline else { continue }
            actions += change(due.key, now: now) { $0.deadlinePassed(now: now) }
        }
        return actions
    }

    /// Changes what is known of `name`, and forgets it when nothing is left.
    mutating func changePresence(_ name: PeerName, _ body: (inout Presence) -> Void) {
        var presence = names.removeValue(forKey: name) ?? Presence()
        body(&presence)
        if !presence.isEmpty { names[name] = presence }
    }
}
