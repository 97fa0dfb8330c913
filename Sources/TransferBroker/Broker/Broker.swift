// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Who is here, and what goes on between them: the sessions of each name on this node, the transfers whose home this
/// node is, their tokens, and the part of this node's sessions in transfers of other homes.
///
/// A value that takes one event at a time and returns what is to be done. Each of its parts changes what is in it
/// alone: the broker only passes each event to the parts that it concerns. A session on the receiving side may be on
/// any node: what it is told goes through ``SessionTable/notify(_:_:)``. No event but the loss of a node costs more
/// than the few sessions and transfers that it concerns.
package struct Broker: Sendable {
    package let node: NodeID
    private(set) var sessions: SessionTable
    private(set) var home: HomeTransfers
    private var remote: RemoteTransfers
    private var requests: PullRequests
    private var isShortOfMemory = false

    /// - Parameter node: this node's name, which its sessions' ids begin with.
    package init(node: NodeID = .alone, limits: BrokerLimits) {
        self.node = node
        sessions = SessionTable(node: node, limits: limits)
        home = HomeTransfers(node: node, limits: limits)
        remote = RemoteTransfers(node: node, limits: limits)
        requests = PullRequests(node: node, limits: limits)
    }

    // MARK: - What there is

    /// Transfers that a receiver has accepted and that are not over, of this home or with a receiver on this node: what
    /// a graceful stop waits for.
    package var activeTransfers: Int { home.transfers.activeCount + remote.acceptCount }

    /// Whether sessions that were told to go elsewhere are still here, and have time to go: what a graceful stop waits
    /// for besides.
    package var isMoving: Bool { sessions.isMoving }

    /// Whether no connection is awaited that only this process could join to a transfer: no token is unclaimed, and no
    /// stream waits for its other half.
    package var isQuiet: Bool {
        let status = status
        return status.unclaimedTokens == 0 && status.accepted == 0 && status.parked == 0
    }

    /// Refuses new offers and accepts from now on, or no longer; no session is closed for it.
    package mutating func hold(_ isHeld: Bool) { sessions.isHeld = isHeld }

    /// The names that have sessions here.
    package var names: [PeerName] { sessions.presentNames }

    /// The names that are there to be rung, on this node or on their way to it.
    package var namesThere: Set<PeerName> { sessions.namesThere }

    /// What there is at the moment. Looks at every transfer: for the operator's requests, not for events.
    package var status: BrokerStatus {
        var status = home.totals
        status.sessions = sessions.sessions.count
        status.names = names.count
        status.receiving = sessions.receivingCount
        status.sharing = sessions.sharingCount
        status.requests = requests.count
        status.unclaimedTokens = home.tokens.ledger.count
        status.isDraining = sessions.isDraining
        home.transfers.count(into: &status)
        return status
    }

    /// A copy of all that is kept, for tests: to change it changes no broker.
    var snapshot: Snapshot {
        Snapshot(node: node, sessions: sessions, home: home, remote: remote, requests: requests)
    }

    /// What a broker kept at one moment.
    struct Snapshot: Sendable {
        let node: NodeID
        let sessions: SessionTable
        let home: HomeTransfers
        let remote: RemoteTransfers
        let requests: PullRequests
    }

    // MARK: - Events

    /// Something happened at `now`: the one way in, whichever node or thread it comes from.
    package mutating func handle(_ event: BrokerEvent, now: NIODeadline) -> [BrokerAction] {
        switch event {
        case .sessionOpened(let session, let user, let request, let address):
            return sessions.open(session, user, at: address, request, now: now)
        case .requestReceived(let message, let session, let found):
            return requestReceived(message, from: session, found, now: now)
        case .sessionClosed(let session): return sessionClosed(session, now: now)
        case .streamChanged(let transfer, let event, let node, let publicURL):
            return home.streamChanged(transfer, event, on: node, publicURL, &sessions, now: now)
        case .tokenMinted(let token, let request, let isAnnounced):
            return home.tokenMinted(token, for: request, isAnnounced: isAnnounced, &sessions, now: now)
        case .timerFired:
            return requests.timerFired(&sessions, now: now) + home.timerFired(&sessions, now: now)
                + sessions.timerFired(now: now) + home.missed(sessions.missed(now: now), &sessions, now: now)
        case .drainBegun: return sessions.beginDrain()
        case .moveBegun(let time, let toSuccessor):
            return sessions.beginMove(until: now + time, toSuccessor: toSuccessor, now: now)
        case .namesExpected(let names, let time):
            sessions.expect(names, until: now + time)
            return []
        case .memoryChanged(let isShort):
            isShortOfMemory = isShort
            return []
        case .nameRemoved(let name, let key):
            return sessions.presence(of: name).sessions.filter { key == nil || sessions[$0]?.user.key != key }
                .map { .close($0, .loginFailed) }
        case .nameDisabled(let name):
            return sessions.presence(of: name).sessions.flatMap { sessions.end($0, .accountDisabled, .loginFailed) }
        case .sessionEnded(let session): return sessions.end(session, .endedByOperator, .closedByOperator)
        case .transferStopped(let transfer): return home.change(transfer, &sessions, now: now) { $0.stopped() }
        case .limitsChanged(let user, let address):
            sessions.setLimits(user: user, address: address)
            return []
        case .allowanceChanged(let name, let holding):
            sessions.setAllowance(holding, of: name)
            return []
        case .receiversAppeared(let name, let receivers):
            return home.ring(receivers.filter { $0.node != node }, name, &sessions, now: now)
        case .messageReceived(let message, let node): return messageReceived(message, from: node, now: now)
        case .nodeLost(let node): return nodeLost(node, now: now)
        }
    }

    /// Uses the token of `digest` up for the half `role`, which `asker` is about to hold; nil when it is no good. See
    /// ``TokenLedger/claim(_:as:now:)``.
    package mutating func claim(
        _ digest: TokenDigest, as role: TransferRole, by asker: NodeID, now: NIODeadline
    ) -> StreamClaim? {
        guard var claim = home.claim(digest, as: role, by: asker, now: now) else { return nil }
        claim.owners = sessions.holdings.parties(of: claim.stream.transfer)
        return claim
    }

    /// Whether this node is the home of `transfer`.
    package func isHome(of transfer: TransferID) -> Bool { home[transfer] != nil }

    /// Whether `session` is one of this node's, and logged in.
    package func isOpen(_ session: SessionID) -> Bool { sessions[session] != nil }

    /// The connection of `session` is gone, and with it its transfers. Harmless for a session that was never open.
    private mutating func sessionClosed(_ session: SessionID, now: NIODeadline) -> [BrokerAction] {
        guard let (gone, announced) = sessions.close(session) else { return [] }
        var actions = announced + requests.sessionClosed(session, gone)
        let why: SessionEnd = sessions.isDraining ? .nodeStopping : .closed
        for transfer in gone.offered.union(gone.incoming).inOrder() {
            actions += home.change(transfer, &sessions, now: now) { $0.sessionClosed(session, why) }
            actions += remote.sessionClosed(session, transfer, sessions)
        }
        return actions
    }

    /// A session asks for something. A session of this node that is not open, or no longer, gets no answer.
    private mutating func requestReceived(
        _ message: ClientMessage, from session: SessionID, _ found: LookupResult?, now: NIODeadline
    ) -> [BrokerAction] {
        guard session.node == node else {
            return home.requestReceived(message, from: session, &sessions, now: now)
        }
        guard let asking = sessions[session] else { return [] }
        guard sessions.isDraining, message.isRefusedByDrain else {
            return dispatch(message, from: asking, session, found, now)
        }
        return sessions.hurry(session, now: now) + dispatch(message, from: asking, session, found, now)
    }

    /// Has the part decide that a request of an open session is for.
    private mutating func dispatch(
        _ message: ClientMessage, from asking: BrokerSession, _ session: SessionID, _ found: LookupResult?,
        _ now: NIODeadline
    ) -> [BrokerAction] {
        switch message {
        case .presence(let request):
            let begins = request.receiving && !asking.isReceiving
            return [.send(session, .ok(.init(id: request.id)))] + sessions.setReceiving(session, request.receiving)
                + sessions.setSharing(session, request.sharing)
                + (begins ? home.ring([session], asking.user.name, &sessions, now: now) : [])
        case .lookup(let request):
            guard let found else { return [.send(session, .refusal(request.id, .unavailable))] }
            let isHere = found.user.map { sessions.isThere($0.name) } ?? false
            return [.send(session, found.answer(to: request, isHere: isHere))]
        case .offer(let request):
            guard let found else { return [.send(session, .refusal(request.id, .unavailable))] }
            let refusal = refusalOfAllNew ?? (remote[request.transfer] == nil ? nil : .transferExists)
            let requesters = request.request.map {
                requests.sessions(of: request.to, having: $0, to: asking.user.name)
            }
            return home.offered(
                request, found, by: session, answering: requesters, unless: refusal, &sessions, now: now)
        case .accept, .decline, .cancel, .delivered, .progress, .note:
            if let id = message.transfer, home[id] == nil, let transfer = remote[id] {
                return remote.requestReceived(message, from: session, about: transfer, sessions)
            }
            return home.requestReceived(message, from: session, &sessions, now: now)
        case .request(let request):
            guard let found else { return [.send(session, .refusal(request.id, .unavailable))] }
            return requests.requested(request, found, by: session, unless: refusalOfAllNew, &sessions, now: now)
        case .withdraw(let message): return requests.withdrawn(message, by: session, &sessions)
        case .refuse(let message): return requests.refused(message, by: session, &sessions)
        // ``SessionMachine`` answers these.
        case .login, .register, .ping: return []
        }
    }

    /// Why no offers and requests are taken at the moment; nil when they are.
    private var refusalOfAllNew: FailureCode? {
        sessions.refusesNew ? .draining : isShortOfMemory ? .unavailable : nil
    }

    /// `sender` said something. Claims are answered before they come here.
    private mutating func messageReceived(
        _ message: NodeMessage, from sender: NodeID, now: NIODeadline
    ) -> [BrokerAction] {
        switch message {
        case .notice(let number, let notice):
            let session = SessionID(node: node, number: number)
            if case .refused(let request, let name, let code) = notice {
                return requests.refused(request, of: session, by: name, code, &sessions)
            }
            return remote.noticeReceived(notice, for: session, from: sender, requests, &sessions) { [home] in
                home[$0] != nil
            }
        case .release(let number, let transfer):
            return remote.released(transfer, SessionID(node: node, number: number), by: sender, &sessions)
        case .request(let number, let message):
            return requestReceived(message, from: SessionID(node: sender, number: number), nil, now: now)
        case .left(let number, let transfer, let isStopping):
            return home.change(transfer, &sessions, now: now) {
                $0.sessionClosed(SessionID(node: sender, number: number), isStopping ? .nodeStopping : .closed)
            }
        case .stream(let transfer, let event, let publicURL):
            return home.streamChanged(transfer, event, on: sender, publicURL, &sessions, now: now)
        case .abort(let transfer, let outcome):
            return [.endStream(StreamKey(home: sender, transfer: transfer), outcome)]
        case .ask(let number, let request, let user, let name, let payload):
            let session = SessionID(node: sender, number: number)
            return requests.asked(request, by: session, from: user, to: name, payload, &sessions, now: now)
        case .withdrawn(let number, let request):
            requests.withdrawn(request, by: SessionID(node: sender, number: number))
            return []
        case .claim, .claimed: return []
        }
    }

    /// Everything shared with the process of `lost` is over: its sessions, the halves it held, and the transfers whose
    /// home it was.
    private mutating func nodeLost(_ lost: NodeID, now: NIODeadline) -> [BrokerAction] {
        guard lost != node else { return [] }
        requests.nodeLost(lost)
        var actions = home.nodeLost(lost, &sessions, now: now) + remote.homeLost(lost, &sessions)
        // The lost node cannot be told anything any more.
        actions.removeAll { if case .tell(lost, _) = $0 { true } else { false } }
        return actions + [.abortStreams(ofHome: lost, .clusterUnavailable)]
    }
}

extension ClientMessage {
    /// Whether a node that is about to stop refuses it.
    fileprivate var isRefusedByDrain: Bool {
        switch self {
        case .offer, .accept, .request: true
        case .login, .register, .presence, .lookup, .decline, .progress, .note, .delivered, .cancel, .withdraw, .refuse,
            .ping:
            false
        }
    }
}
