// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

/// The brokers of several nodes, with links between them that keep order and deliver when the test says so, and a
/// directory of who receives where that is always right.
struct BrokerNetwork {
    /// What one node has said to another and has not arrived yet.
    struct Link: Hashable {
        var from: NodeID
        var to: NodeID
    }

    static let names = ["a", "b", "c"]

    var nodes: [NodeID: Broker] = [:]
    var links: [Link: [NodeMessage]] = [:]
    /// Everything that was said to each session.
    var said: [SessionID: [ServerMessage]] = [:]
    /// Streams that a node was told to cut.
    var aborted: [NodeID: [StreamKey]] = [:]
    var directory = RoutingDirectory()
    var homes: [NodeID: Set<TransferID>] = [:]
    var answers: [UInt64: StreamClaim?] = [:]
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var lastNumber: UInt64 = 0

    init(limits: BrokerLimits = Defaults.Broker.limits) {
        for node in Self.names.compactMap(NodeID.init(rawValue:)) { nodes[node] = Broker(node: node, limits: limits) }
    }

    mutating func number() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    mutating func requestID() -> RequestID { .sequence(.client, number()) }

    // MARK: - What happens

    mutating func handle(_ event: BrokerEvent, at node: NodeID) {
        run(nodes[node]?.handle(event, now: now) ?? [], at: node)
    }

    /// Opens a session of `name` on `node`.
    mutating func open(_ name: String, at node: NodeID, receiving: Bool) -> SessionID {
        let session = SessionID(node: node, number: number())
        handle(.sessionOpened(session, BrokerFixture.user(name), requestID()), at: node)
        if receiving { setReceiving(session, true) }
        return session
    }

    mutating func setReceiving(_ session: SessionID, _ isReceiving: Bool) {
        ask(session, .presence(.init(id: requestID(), receiving: isReceiving)))
    }

    mutating func share(_ session: SessionID, _ isSharing: Bool = true) {
        ask(session, .presence(.init(id: requestID(), receiving: false, sharing: isSharing)))
    }

    mutating func request(_ session: SessionID, of name: String) -> PullRequestID {
        let user = BrokerFixture.user(name)
        let request = PullRequestID.random()
        let sharers = RemoteSharers.known(directory.sharers(of: user.name, except: session.node))
        ask(
            session, .request(.init(id: requestID(), request: request, to: user.name, payload: BrokerFixture.payload)),
            found: LookupResult(user: user, elsewhere: .none, sharers: sharers))
        return request
    }

    mutating func answer(_ request: PullRequestID, of name: String, by session: SessionID) -> TransferID {
        let (user, transfer) = (BrokerFixture.user(name), TransferID.random())
        let offer = ClientMessage.Offer(
            id: requestID(), transfer: transfer, to: user.name, wait: true, payload: BrokerFixture.payload,
            request: request)
        let elsewhere = RemoteReceivers.known(directory.receivers(of: user.name, except: session.node))
        ask(session, .offer(offer), found: LookupResult(user: user, elsewhere: elsewhere))
        return transfer
    }

    mutating func refuse(_ request: PullRequestID, of name: String, by session: SessionID) {
        let user = BrokerFixture.user(name)
        ask(session, .refuse(.init(id: requestID(), request: request, to: user.name, code: .notShared)))
    }

    mutating func withdraw(_ request: PullRequestID, by session: SessionID) {
        ask(session, .withdraw(.init(id: requestID(), request: request)))
    }

    mutating func ask(_ session: SessionID, _ message: ClientMessage, found: LookupResult? = nil) {
        handle(.requestReceived(message, from: session, found: found), at: session.node)
    }

    mutating func offer(_ session: SessionID, to name: String, wait: Bool = true) -> TransferID {
        let user = BrokerFixture.user(name)
        let transfer = TransferID.random()
        let offer = ClientMessage.Offer(
            id: requestID(), transfer: transfer, to: user.name, wait: wait, payload: BrokerFixture.payload
        )
        let elsewhere = RemoteReceivers.known(directory.receivers(of: user.name, except: session.node))
        ask(session, .offer(offer), found: LookupResult(user: user, elsewhere: elsewhere))
        return transfer
    }

    mutating func accept(_ session: SessionID, _ transfer: TransferID) {
        let accept = ClientMessage.Accept(id: requestID(), transfer: transfer, payload: BrokerFixture.payload)
        ask(session, .accept(accept))
    }

    /// A token is shown on `asker`; the answer is in ``answers`` under the id.
    mutating func claim(_ token: Token, as role: TransferRole, at asker: NodeID, home: NodeID) -> UInt64 {
        let id = number()
        let digest = TokenDigest(token)
        if asker == home {
            answers[id] = .some(nodes[home]?.claim(digest, as: role, by: asker, now: now))
        } else {
            links[Link(from: asker, to: home), default: []].append(.claim(id: id, digest: digest, role: role))
        }
        return id
    }

    /// The byte path of `node` reports.
    mutating func report(_ stream: StreamKey, _ event: StreamEvent, at node: NodeID) {
        if stream.home == node {
            handle(.streamChanged(stream.transfer, event, on: node), at: node)
        } else {
            links[Link(from: node, to: stream.home), default: []].append(.stream(transfer: stream.transfer, event))
        }
    }

    /// `node` stops, and all other nodes notice; another process takes its place.
    mutating func restart(_ node: NodeID) {
        nodes[node] = Broker(node: node, limits: Defaults.Broker.limits)
        links = links.filter { $0.key.from != node && $0.key.to != node }
        directory.forget(node)
        homes[node] = nil
        for other in nodes.keys where other != node { handle(.nodeLost(node), at: other) }
    }

    /// The link between two nodes is cut for so long that each takes the other for lost.
    mutating func cut(_ one: NodeID, _ other: NodeID) {
        links[Link(from: one, to: other)] = nil
        links[Link(from: other, to: one)] = nil
        handle(.nodeLost(other), at: one)
        handle(.nodeLost(one), at: other)
    }

    // MARK: - What follows

    var pending: [Link] { links.filter { !$0.value.isEmpty }.keys.sorted { "\($0)" < "\($1)" } }

    /// Delivers the next message of a link.
    mutating func deliver(_ link: Link) {
        guard let message = links[link]?.first else { return }
        links[link]?.removeFirst()
        switch message {
        case .claim(let id, let digest, let role):
            let claim = nodes[link.to]?.claim(digest, as: role, by: link.from, now: now)
            links[Link(from: link.to, to: link.from), default: []].append(
                .claimed(id: id, transfer: claim?.stream.transfer, download: claim?.download)
            )
        case .claimed(let id, let transfer, let download, users: _):
            answers[id] = .some(
                transfer.flatMap { transfer in
                    download.map { StreamClaim(stream: StreamKey(home: link.from, transfer: transfer), download: $0) }
                }
            )
        case .notice, .release, .request, .left, .ask, .withdrawn, .stream, .abort:
            handle(.messageReceived(message, from: link.from), at: link.to)
        }
    }

    /// Delivers everything, and what follows from it.
    mutating func settle() {
        while let link = pending.first { deliver(link) }
    }

    private mutating func run(_ actions: [BrokerAction], at node: NodeID) {
        for action in actions {
            switch action {
            case .send(let session, let message): said[session, default: []].append(message)
            case .close: break
            case .tell(let other, let message): links[Link(from: node, to: other), default: []].append(message)
            case .endStream(let stream, _): aborted[node, default: []].append(stream)
            case .abortStreams: break
            case .announce(let announcement): announce(announcement, at: node)
            case .mint(let request): handle(.tokenMinted(.random(), for: request), at: node)
            case .transferEnded, .limitMet: break
            }
        }
    }

    private mutating func announce(_ announcement: BrokerAnnouncement, at node: NodeID) {
        if case .home(let transfer, let isHome) = announcement {
            if isHome { homes[node, default: []].insert(transfer) } else { homes[node]?.remove(transfer) }
        }
        for look in directory.announce(announcement, by: node) {
            handle(.receiversAppeared(look.name, directory.receivers(of: look.name, except: look.node)), at: look.node)
        }
    }

    // MARK: - What is to be seen

    /// What was said to a session, in short.
    func summary(_ session: SessionID) -> [String] {
        (said[session] ?? []).map { message in
            switch message {
            case .error(let refusal): "error.\(refusal.code.rawValue)"
            case .refused(let refused): "refused.\(refused.code.rawValue)"
            case .failed(let failed): "failed.\(failed.code.rawValue)"
            case .offered(let offered): offered.state.rawValue
            default: message.kind.rawValue
            }
        }
    }

    /// The last token that a session was given.
    func token(of session: SessionID) -> Token? {
        for case .start(let start) in (said[session] ?? []).reversed() { return start.token }
        return nil
    }
}
