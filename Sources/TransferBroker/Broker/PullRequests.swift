// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The requests that may be answered now: those of this node's sessions, and those of other nodes' sessions that
/// sessions of this node have heard.
///
/// Nothing of what was asked is kept, only who waits for an answer to which id, and of whom: an offer or a refusal that
/// comes from another user finds nothing here.
struct PullRequests: Sendable {
    /// Who waits for answers.
    struct Open: Hashable, Sendable {
        /// The name of the session that asks.
        let requester: PeerName
        /// Whose sessions were asked.
        let asked: PeerName
        let deadline: NIODeadline
        /// The other nodes that were told of it, if the session is of this one.
        fileprivate let nodes: [NodeID]
    }

    /// One request of one session: ids are clients' choice, so that two sessions may have the same one.
    struct Key: Hashable, Sendable {
        let request: PullRequestID
        let session: SessionID
    }

    private let node: NodeID
    private let limits: BrokerLimits
    private(set) var requests: [PullRequestID: [SessionID: Open]] = [:]
    private(set) var count = 0
    private(set) var deadlines = DeadlineQueue<Key>()

    init(node: NodeID, limits: BrokerLimits) {
        self.node = node
        self.limits = limits
    }

    /// The sessions of `requester` that have a request of that id to `asked` open, on whichever node they are.
    func sessions(of requester: PeerName, having request: PullRequestID, to asked: PeerName) -> [SessionID] {
        (requests[request] ?? [:]).filter { $0.value.requester == requester && $0.value.asked == asked }.keys.inOrder()
    }

    /// Whether `session` has a request of that id to `asked` open.
    func isOpen(_ request: PullRequestID, of session: SessionID, to asked: PeerName) -> Bool {
        requests[request]?[session]?.asked == asked
    }

    // MARK: - What sessions of this node ask

    /// A session asks those of a name. What it is told does not depend on whether there are any.
    ///
    /// - Parameter refusal: why there are no new requests at the moment.
    mutating func requested(
        _ request: ClientMessage.Request, _ found: LookupResult, by session: SessionID, unless refusal: FailureCode?,
        _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        guard let user = sessions[session]?.user else { return [] }
        guard found.user != nil else { return [.send(session, .unknownPeer(request.id, request.to))] }
        if let refusal { return [.send(session, .refusal(request.id, refusal))] }
        guard case .known(let elsewhere) = found.sharers else {
            return [.send(session, .refusal(request.id, .clusterUnavailable))]
        }
        guard requests[request.request]?[session] == nil else {
            return [.send(session, .refusal(request.id, .requestExists))]
        }
        if let refusal = sessions.refusalOfRequest(by: session, ofNode: count) {
            return sessions.refuse(request.id, of: session, refusal)
        }
        let nodes = elsewhere.filter { $0 != node }
        let deadline = now + limits.timing.request
        let open = Open(requester: user.name, asked: request.to, deadline: deadline, nodes: nodes)
        insert(open, Key(request: request.request, session: session))
        sessions.requestOpened(request.request, by: session)
        let heard = tell(request.request, from: user, to: request.to, request.payload, except: session, &sessions)
        let message = NodeMessage.ask(
            session: session.number, request.request, from: user, to: request.to, request.payload
        )
        return [.send(session, .ok(.init(id: request.id)))] + heard + nodes.map { .tell($0, message) }
    }

    /// A session has had enough of the answers to a request.
    mutating func withdrawn(
        _ message: ClientMessage.Withdraw, by session: SessionID, _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        [.send(session, .ok(.init(id: message.id)))] + close(message.request, of: session, &sessions)
    }

    /// A session will not answer a request with an offer. It is not told whether there is such a request.
    func refused(
        _ message: ClientMessage.Refuse, by session: SessionID, _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        guard let user = sessions[session]?.user else { return [] }
        guard message.code.isClients else { return [.send(session, .refusal(message.id, .badMessage))] }
        var actions: [BrokerAction] = [.send(session, .ok(.init(id: message.id)))]
        for requester in self.sessions(of: message.to, having: message.request, to: user.name) {
            actions += sessions.notify(requester, .refused(message.request, by: user.name, message.code))
        }
        return actions
    }

    /// A session of this node is gone, and with it its requests.
    mutating func sessionClosed(_ session: SessionID, _ gone: BrokerSession) -> [BrokerAction] {
        gone.requests.inOrder().flatMap { forget(Key(request: $0, session: session)) }
    }

    /// Ends the requests whose time is over. The other nodes are told, as their time begins when they hear of a
    /// request.
    mutating func timerFired(_ sessions: inout SessionTable, now: NIODeadline) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        while let due = deadlines.popDue(now: now) {
            guard requests[due.key.request]?[due.key.session]?.deadline == due.deadline else { continue }
            actions += close(due.key.request, of: due.key.session, &sessions)
        }
        return actions
    }

    // MARK: - What other nodes say

    /// A session of another node asks those of a name.
    mutating func asked(
        _ request: PullRequestID, by session: SessionID, from user: User, to name: PeerName, _ payload: Payload,
        _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        guard !sessions.isDraining, !sessions.presence(of: name).sharing.isEmpty else { return [] }
        let key = Key(request: request, session: session)
        if requests[request]?[session] == nil, count >= limits.openRequests {
            return [.limitMet(Limit(.requests, of: .node), Owner(name: user.name, address: nil))]
        }
        let deadline = now + limits.timing.request
        insert(Open(requester: user.name, asked: name, deadline: deadline, nodes: []), key)
        return tell(request, from: user, to: name, payload, except: nil, &sessions)
    }

    /// A session of another node does not wait for answers any more.
    mutating func withdrawn(_ request: PullRequestID, by session: SessionID) {
        _ = forget(Key(request: request, session: session))
    }

    /// A session of another node will not answer a request of one of this node's with an offer.
    func refused(
        _ request: PullRequestID, of session: SessionID, by name: PeerName, _ code: FailureCode,
        _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        guard isOpen(request, of: session, to: name) else { return [] }
        return sessions.notify(session, .refused(request, by: name, code))
    }

    /// The sessions of `lost` are gone.
    mutating func nodeLost(_ lost: NodeID) {
        for (request, open) in requests {
            for session in open.keys where session.node == lost {
                _ = forget(Key(request: request, session: session))
            }
        }
    }

    // MARK: - Both

    /// Brings a request to the sharing sessions of this node.
    private func tell(
        _ request: PullRequestID, from user: User, to name: PeerName, _ payload: Payload, except asking: SessionID?,
        _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        sessions.presence(of: name).sharing.filter { $0 != asking }.flatMap { session in
            sessions.tell(session, of: request, from: user, payload)
        }
    }

    private mutating func insert(_ open: Open, _ key: Key) {
        if requests[key.request, default: [:]].updateValue(open, forKey: key.session) == nil { count += 1 }
        deadlines.insert(key, at: open.deadline)
        // At most one entry of each request stands.
        if deadlines.count > 2 * count + 64 {
            deadlines.compact { requests[$0.key.request]?[$0.key.session]?.deadline == $0.deadline }
        }
    }

    /// Forgets a request of a session that may be of this node, and stays.
    private mutating func close(
        _ request: PullRequestID, of session: SessionID, _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        let actions = forget(Key(request: request, session: session))
        sessions.requestClosed(request, by: session)
        return actions
    }

    private mutating func forget(_ key: Key) -> [BrokerAction] {
        guard let open = requests[key.request]?.removeValue(forKey: key.session) else { return [] }
        if requests[key.request]?.isEmpty == true { requests[key.request] = nil }
        count -= 1
        return open.nodes.map { .tell($0, .withdrawn(session: key.session.number, key.request)) }
    }
}
