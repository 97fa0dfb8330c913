// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// A session of this node that is logged in.
struct BrokerSession: Sendable {
    /// Who it is, with the keys that its own login vouched for.
    let user: User
    /// In whose name it holds what it holds.
    let owner: Owner
    /// Whether it wants to be rung.
    fileprivate(set) var isReceiving = false
    /// Whether it wants to hear requests.
    fileprivate(set) var isSharing = false
    /// The requests that it waits for answers to.
    fileprivate(set) var requests: Set<PullRequestID> = []
    /// The transfers it offered.
    fileprivate(set) var offered: Set<TransferID> = []
    /// The transfers on whose receiving side it is: rung, or accepted; of this home and of others.
    fileprivate(set) var incoming: Set<TransferID> = []
    /// The transfers that it accepted.
    fileprivate(set) var accepted: Set<TransferID> = []
    /// The transfers that it offered and a receiver accepted.
    fileprivate(set) var taken: Set<TransferID> = []
    /// `r1` was the challenge.
    private var lastID: UInt64 = 1
    /// When it logged in.
    let openedAt: NIODeadline

    init(user: User, at address: String?, now: NIODeadline) {
        self.user = user
        openedAt = now
        owner = Owner(name: user.name, address: address)
    }

    /// The transfers that it has a part in.
    var transferCount: Int { offered.union(incoming).count }

    /// Whether a graceful stop has to wait for it.
    var isBusy: Bool { !accepted.isEmpty || !taken.isEmpty }

    /// The next id for something the relay says unasked.
    fileprivate mutating func nextID() -> RequestID {
        lastID += 1
        return .sequence(.relay, lastID)
    }
}

/// The sessions of this node, what there is under each name (sessions, and offers that wait for one of them), and what
/// each user holds.
struct SessionTable: Sendable {
    /// What there is under one name.
    struct Presence: Sendable {
        /// The sessions of that name.
        fileprivate(set) var sessions: [SessionID] = []
        /// The sessions that want to be rung.
        fileprivate(set) var receiving: [SessionID] = []
        /// The sessions that want to hear requests.
        fileprivate(set) var sharing: [SessionID] = []
        /// Offers to that name that no receiver has accepted yet, in the order they came.
        fileprivate(set) var offers: [TransferID] = []

        var isEmpty: Bool { sessions.isEmpty && offers.isEmpty }
    }

    private let node: NodeID
    private let limits: BrokerLimits
    private(set) var sessions: [SessionID: BrokerSession] = [:]
    private(set) var names: [PeerName: Presence] = [:]
    private(set) var holdings: Holdings
    /// How many sessions want to be rung; kept, because counting them would mean to look at all.
    private(set) var receivingCount = 0
    /// How many want to hear requests.
    private(set) var sharingCount = 0
    /// Whether the node is about to stop.
    private(set) var isDraining = false
    /// Who has been told to go elsewhere.
    private var moves = SessionMoves()
    /// The names that are on their way to this process, or from it to the one that takes its place.
    private var passing = PassingNames()
    /// Whether nothing new is taken for a moment, while another process takes this one's place, or fails to.
    var isHeld = false
    /// Whether offers, accepts and requests are refused, to be tried again elsewhere.
    var refusesNew: Bool { isDraining || isHeld }

    init(node: NodeID, limits: BrokerLimits) {
        self.node = node
        self.limits = limits
        holdings = Holdings(limits: limits)
    }

    /// A session that is logged in here.
    subscript(session: SessionID) -> BrokerSession? { sessions[session] }

    /// What there is under `name`.
    func presence(of name: PeerName) -> Presence { names[name] ?? Presence() }

    /// The names that have sessions here.
    var presentNames: [PeerName] { names.filter { !$0.value.sessions.isEmpty }.map(\.key) }

    // MARK: - Names that are on their way

    /// Whether `name` is there to be rung, as far as this node knows: here, or on its way.
    func isThere(_ name: PeerName) -> Bool { !presence(of: name).receiving.isEmpty || passing.contains(name) }

    /// Whether a session of `name` is about to come here and to be rung.
    func isExpected(_ name: PeerName) -> Bool { passing.contains(name) }

    /// The names that are there to be rung.
    var namesThere: Set<PeerName> {
        passing.all.union(names.lazy.filter { !$0.value.receiving.isEmpty }.map(\.key))
    }

    /// Sessions of `names` are about to come from the process whose place this one takes.
    mutating func expect(_ names: [PeerName], until deadline: NIODeadline) {
        guard !names.isEmpty else { return }
        passing.open(until: deadline)
        for name in names where presence(of: name).receiving.isEmpty { passing.insert(name) }
    }

    /// A session of `name` wants to be rung no more: where all are told to go to the process that takes this one's
    /// place, it is there that its client wants to be rung now, most likely.
    private mutating func left(_ name: PeerName) { if isDraining { passing.insert(name) } }

    /// The names that were on their way until now and have not come.
    mutating func missed(now: NIODeadline) -> Set<PeerName> { passing.missed(now: now) }

    // MARK: - Sessions

    /// The login of `session` holds; `request` is to be answered.
    mutating func open(
        _ session: SessionID, _ user: User, at address: String?, _ request: RequestID, now: NIODeadline
    ) -> [BrokerAction] {
        guard sessions[session] == nil else { return [] }
        let opened = BrokerSession(user: user, at: address, now: now)
        if let refusal = holdings.refusalOfSession(by: opened.owner) {
            return refuse(request, of: session, refusal) + [.close(session, .loginFailed)]
        }
        sessions[session] = opened
        holdings.sessionOpened(by: opened.owner)
        names[user.name, default: Presence()].sessions.append(session)
        let welcome = ServerMessage.Welcome(
            id: request, name: user.name, session: session.label, heartbeat: limits.timing.heartbeat
        )
        // One that was just coming in when the others were told.
        return [.send(session, .welcome(welcome))]
            + (moves.deadline.map { tellMove([session], until: $0, now: now) } ?? closeIfIdle(session))
    }

    /// `session` is gone: what it was, and what other nodes have to know; nil when it was never open.
    mutating func close(_ session: SessionID) -> (gone: BrokerSession, actions: [BrokerAction])? {
        guard let gone = sessions.removeValue(forKey: session) else { return nil }
        holdings.sessionClosed(of: gone.owner)
        moves.closed(session)
        for _ in gone.requests { holdings.requestClosed(of: gone.owner) }
        if gone.isReceiving { receivingCount -= 1 }
        if gone.isSharing { sharingCount -= 1 }
        if gone.isReceiving { left(gone.user.name) }
        let actions = changePresence(gone.user.name) { presence in
            presence.sessions.removeAll { $0 == session }
            presence.receiving.removeAll { $0 == session }
            presence.sharing.removeAll { $0 == session }
        }
        return (gone, actions)
    }

    /// `session` wants to be rung from now on, or no longer. What rings already goes on ringing: it may still answer.
    mutating func setReceiving(_ session: SessionID, _ isReceiving: Bool) -> [BrokerAction] {
        guard sessions[session]?.isReceiving == !isReceiving else { return [] }
        receivingCount += isReceiving ? 1 : -1
        if let name = sessions[session]?.user.name {
            if isReceiving { passing.remove(name) } else { left(name) }
        }
        return set(session, \.isReceiving, \.receiving, isReceiving)
    }

    /// `session` wants to hear requests from now on, or no longer.
    mutating func setSharing(_ session: SessionID, _ isSharing: Bool) -> [BrokerAction] {
        guard sessions[session]?.isSharing == !isSharing else { return [] }
        sharingCount += isSharing ? 1 : -1
        return set(session, \.isSharing, \.sharing, isSharing)
    }

    /// Notes what a session wants from now on, with it and under its name.
    private mutating func set(
        _ session: SessionID, _ wish: WritableKeyPath<BrokerSession, Bool>,
        _ list: WritableKeyPath<Presence, [SessionID]>, _ isWanted: Bool
    ) -> [BrokerAction] {
        guard let name = sessions[session]?.user.name else { return [] }
        sessions[session]?[keyPath: wish] = isWanted
        return changePresence(name) { presence in
            if isWanted {
                presence[keyPath: list].append(session)
            } else {
                presence[keyPath: list].removeAll { $0 == session }
            }
        }
    }

    /// Sessions that are in no transfer which goes on leave now, so that their clients find another node at once; or in
    /// their time, when they have been told to go elsewhere.
    mutating func beginDrain() -> [BrokerAction] {
        isDraining = true
        return sessions.keys.inOrder().flatMap { closeIfIdle($0) }
    }

    /// Whether there are sessions that have still time to go elsewhere.
    var isMoving: Bool { moves.isUnderWay && !sessions.isEmpty }

    /// The sessions are to go elsewhere until `deadline`, each told at another moment. Asking again changes nothing.
    ///
    /// - Parameter toSuccessor: whether it is the process that takes this one's place: no other node can be asked
    ///   whether a name is there.
    mutating func beginMove(
        until deadline: NIODeadline, toSuccessor: Bool, now: NIODeadline
    ) -> [BrokerAction] {
        if toSuccessor { passing.open(until: deadline) }
        moves.begin(Array(sessions.keys), until: deadline, now: now)
        return timerFired(now: now)
    }

    /// Tells those whose moment has come. After the deadline, those that are left have to go once nothing of them goes
    /// on.
    mutating func timerFired(now: NIODeadline) -> [BrokerAction] {
        switch moves.due(now: now) {
        case .nothing: return []
        case .tell(let due, let deadline): return tellMove(due, until: deadline, now: now)
        case .over: return sessions.keys.inOrder().flatMap { closeIfIdle($0) }
        }
    }

    /// `session` is about to be refused because the node stops: it is told first where it can do better.
    mutating func hurry(_ session: SessionID, now: NIODeadline) -> [BrokerAction] {
        moves.hurry(session).map { tellMove([session], until: $0, now: now) } ?? []
    }

    private mutating func tellMove(
        _ due: [SessionID], until deadline: NIODeadline, now: NIODeadline
    ) -> [BrokerAction] {
        let seconds = max(1, (deadline - now).wholeSeconds)
        return due.compactMap { session in
            (sessions[session]?.nextID()).map { .send(session, .move(.init(id: $0, deadline: seconds))) }
        }
    }

    /// An operator ends `session`, for `code`: it hears that, and is closed.
    mutating func end(_ session: SessionID, _ code: FailureCode, _ close: WebSocketCloseCode) -> [BrokerAction] {
        guard let id = sessions[session]?.nextID() else { return [] }
        return [.send(session, .refusal(id, code)), .close(session, close)]
    }

    /// See ``Holdings/setLimits(user:address:)``.
    mutating func setLimits(user: Holding, address: Holding?) { holdings.setLimits(user: user, address: address) }

    /// See ``Holdings/setAllowance(_:of:)``.
    mutating func setAllowance(_ holding: Holding?, of name: PeerName) { holdings.setAllowance(holding, of: name) }

    /// A session of a node that is about to stop has to go once nothing of it goes on.
    func closeIfIdle(_ session: SessionID) -> [BrokerAction] {
        guard moves.isOver || isDraining && !moves.isUnderWay, let found = sessions[session], !found.isBusy else {
            return []
        }
        return [.close(session, .goingAway)]
    }

    // MARK: - Transfers

    /// A transfer of this home has changed.
    mutating func apply(_ change: TransferChange) -> [BrokerAction] {
        let (id, sender, before, after) = (change.id, change.transfer.sender, change.before, change.after)
        if !before.isThere { sessions[sender]?.offered.insert(id) }
        if !after.isThere {
            sessions[sender]?.offered.remove(id)
            sessions[sender]?.taken.remove(id)
        }
        for session in change.left { sessions[session]?.incoming.remove(id) }
        for session in change.joined { sessions[session]?.incoming.insert(id) }
        if before.receiver != after.receiver {
            if let receiver = before.receiver { sessions[receiver]?.accepted.remove(id) }
            if let receiver = after.receiver {
                sessions[receiver]?.accepted.insert(id)
                sessions[sender]?.taken.insert(id)
            }
        }
        holdings.apply(
            change, sender: sessions[sender]?.owner, receiver: after.receiver.flatMap { sessions[$0]?.owner }
        )
        guard before.isOpenToRing != after.isOpenToRing else { return [] }
        return changePresence(change.transfer.recipient) { presence in
            if after.isOpenToRing {
                presence.offers.append(id)
            } else {
                presence.offers.removeAll { $0 == id }
            }
        }
    }

    /// A transfer of another home rings `session`; false when it has rung it before.
    mutating func rung(_ session: SessionID, by transfer: TransferID) -> Bool {
        sessions[session]?.incoming.insert(transfer).inserted == true
    }

    /// `session` has accepted a transfer of another home.
    mutating func accepted(_ transfer: TransferID, by session: SessionID) {
        sessions[session]?.accepted.insert(transfer)
    }

    /// A transfer of another home has nothing more to do with `session`.
    mutating func released(_ session: SessionID, by transfer: TransferID) {
        sessions[session]?.incoming.remove(transfer)
        sessions[session]?.accepted.remove(transfer)
    }

    // MARK: - Requests

    /// A session of this node waits for answers to one more request.
    mutating func requestOpened(_ request: PullRequestID, by session: SessionID) {
        guard let owner = sessions[session]?.owner,
            sessions[session]?.requests.insert(request).inserted == true
        else { return }
        holdings.requestOpened(by: owner)
    }

    /// `session`, if it is one of this node's, does not wait for answers to `request` any more.
    mutating func requestClosed(_ request: PullRequestID, by session: SessionID) {
        guard let owner = sessions[session]?.owner, sessions[session]?.requests.remove(request) != nil else { return }
        holdings.requestClosed(of: owner)
    }

    /// Why a session may not wait for answers to one more request; nil when it may.
    ///
    /// - Parameter count: the requests that are open on this node.
    func refusalOfRequest(by session: SessionID, ofNode count: Int) -> LimitRefusal? {
        guard let asking = sessions[session] else { return nil }
        return holdings.refusalOfRequest(by: asking.owner, open: asking.requests.count, ofNode: count)
    }

    /// Brings a request to a session of this node.
    mutating func tell(
        _ session: SessionID, of request: PullRequestID, from user: User, _ payload: Payload
    ) -> [BrokerAction] {
        guard let id = sessions[session]?.nextID() else { return [] }
        let message = ServerMessage.Requested(
            id: id, request: request, from: user.name, key: user.key, payload: payload
        )
        return [.send(session, .requested(message))]
    }

    // MARK: - What sessions are told

    /// Tells a session on the receiving side something, on whichever node it is.
    mutating func notify(_ session: SessionID, _ notice: SessionNotice) -> [BrokerAction] {
        guard session.node == node else { return [.tell(session.node, .notice(session: session.number, notice))] }
        switch notice {
        case .ok(let request): return [.send(session, .ok(.init(id: request)))]
        case .refuse(let request, let code): return [.send(session, .refusal(request, code))]
        case .start(let request, let transfer, let token, let expires):
            let message = ServerMessage.Start(
                id: request, transfer: transfer, role: .download, token: token, url: "/download", expires: expires
            )
            return [.send(session, .start(message))]
        case .ring(let transfer, let sender, to: _, let payload, let answered):
            guard let request = sessions[session]?.nextID() else { return [] }
            let message = ServerMessage.Ring(
                id: request, transfer: transfer, from: sender.name, key: sender.key,
                payload: payload, request: answered
            )
            return [.send(session, .ring(message))]
        case .note(let transfer, let payload):
            guard let request = sessions[session]?.nextID() else { return [] }
            return [.send(session, .note(.init(id: request, transfer: transfer, payload: payload)))]
        case .failed(let transfer, let code, let party):
            guard let request = sessions[session]?.nextID() else { return [] }
            return [.send(session, .failed(.init(id: request, transfer: transfer, code: code, by: party)))]
        case .refused(let request, by: _, let code):
            guard let id = sessions[session]?.nextID() else { return [] }
            return [.send(session, .refused(.init(id: id, request: request, code: code)))]
        }
    }

    /// Why an offer goes too far; nil when it does not.
    ///
    /// - Parameter receivers: the sessions that it will ring.
    func refusal(
        of offer: ClientMessage.Offer, by session: SessionID, ringing receivers: [SessionID]
    ) -> LimitRefusal? {
        guard let asking = sessions[session] else { return nil }
        // What answers a request does not wait for the name, and so has no place among what does.
        let waiting = offer.request == nil ? presence(of: offer.to).offers : []
        if offer.request != nil, receivers.contains(where: { !hasRoom(for: $0) }) {
            return LimitRefusal(Limit(.offers, of: .recipient), of: asking.owner)
        }
        return holdings.refusal(of: offer, by: asking.owner, offered: asking.offered.count, waiting: waiting)
    }

    /// Whether `session`, if it is one of this node's, has room for one more offer on its receiving side.
    func hasRoom(for session: SessionID) -> Bool {
        sessions[session].map { $0.incoming.count < limits.offersPerRecipient + limits.transfersPerSession } ?? true
    }

    /// Why a session of this node may not accept one more transfer of this home; nil when it may.
    func refusal(of accept: ClientMessage.Accept, by session: SessionID) -> LimitRefusal? {
        guard let asking = sessions[session] else { return nil }
        return holdings.refusalOfAccept(by: asking.owner, accepted: asking.accepted.count)
            ?? holdings.refusal(of: accept, by: asking.owner)
    }

    /// Refuses a request of a session of this node, because a limit is met.
    func refuse(_ request: RequestID, of session: SessionID, _ refusal: LimitRefusal) -> [BrokerAction] {
        [
            .send(session, .refusal(request, refusal.code, refusal.message)),
            .limitMet(refusal.limit, refusal.owner),
        ]
    }

    /// Changes what is known of `name`, and forgets it when nothing is left. Announces what other nodes have to know.
    private mutating func changePresence(_ name: PeerName, _ body: (inout Presence) -> Void) -> [BrokerAction] {
        let before = names.removeValue(forKey: name) ?? Presence()
        var presence = before
        body(&presence)
        if !presence.isEmpty { names[name] = presence }
        var actions: [BrokerAction] = []
        if before.receiving != presence.receiving {
            actions.append(.announce(.receiving(name, sessions: Set(presence.receiving.map(\.number)))))
        }
        if before.sharing.isEmpty != presence.sharing.isEmpty {
            actions.append(.announce(.sharing(name, !presence.sharing.isEmpty)))
        }
        if before.offers.isEmpty != presence.offers.isEmpty {
            actions.append(.announce(.waiting(name, !presence.offers.isEmpty)))
        }
        return actions
    }
}
