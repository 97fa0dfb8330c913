// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

/// Three real brokers, and everything between and around them as one value: links, Redis' directory, byte paths, tasks
/// and clients. Whatever may happen next is in ``step``; ``apply(_:)`` makes it happen.
///
/// **Links.** An association is a number that the two nodes of a pair have in common. Who takes the other for lost
/// begins the next one; the other finds out at some time, at the latest from the next message. Messages of an
/// association that has been let go of are dropped.
///
/// **Redis.** What a node announces is there at once, and a node that looks at it gets what was there at that moment,
/// at any time later: so it may be out of date.
struct ModelWorld {
    static let count = 3
    static let ids = ["a", "b", "c"].map { NodeID(rawValue: $0)! }
    static let recipient = "bob"
    static let request = PullRequestID(bytes: [UInt8](repeating: 8, count: 16))!
    static let transfer = TransferID(bytes: [UInt8](repeating: 7, count: 16))!
    /// The transfer of the model; its home is the first node.
    static let stream = StreamKey(home: ids[0], transfer: transfer)

    let scenario: ModelScenario
    /// What is wrong on purpose.
    let fault: ModelFault?
    var nodes: [ModelNode]
    /// What is on its way, by sender and receiver.
    var links: [[ModelNode.Message]] = Array(repeating: [], count: count * count)
    var clients: [ModelClient] = []
    var directory = RoutingDirectory()
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    var surprisesLeft: Int
    /// How often each token was found good.
    var grants: [TransferRole: Int] = [:]
    /// Who was given the download's token.
    var receivers: Set<Int> = []
    /// What should never happen, and has.
    var violation: String?

    init(_ scenario: ModelScenario, fault: ModelFault? = nil) {
        self.scenario = scenario
        self.fault = fault
        surprisesLeft = scenario.budget
        nodes = Self.ids.map { ModelNode(broker: Broker(node: $0, limits: Defaults.Broker.limits)) }
        open("alice", at: 0, isSender: true)
        for node in scenario.bobs { open(Self.recipient, at: node) }
        if scenario.isPull {
            share(0)
            for bob in 1...scenario.bobs.count { act(.ask, by: bob) }
        } else {
            if !scenario.isOfferFirst { for bob in 1...scenario.bobs.count { act(.receive, by: bob) } }
            act(.offer, by: 0)
        }
        for node in nodes.indices { refresh(node) }
    }

    // MARK: - States

    /// Differs when the states differ; the same for the same state throughout one process.
    var fingerprint: Int {
        var hasher = Hasher()
        for node in nodes { node.hash(into: &hasher) }
        hasher.combine(links)
        hasher.combine(clients)
        hasher.combine(directory)
        hasher.combine(now)
        hasher.combine(surprisesLeft)
        hasher.combine(grants)
        hasher.combine(receivers)
        return hasher.finalize()
    }

    /// Whether nothing is on its way.
    var isQuiet: Bool {
        for node in nodes where !(node.halves.isEmpty && node.mints.isEmpty && node.looks.isEmpty) { return false }
        if links.contains(where: { !$0.isEmpty }) || clients.contains(where: \.isLeaving) { return false }
        if nodes.contains(where: { $0.pipes.contains(where: \.isBroken) }) { return false }
        return lateNotices.isEmpty
    }

    /// Who shares nothing any more with whom, and does not know yet.
    var lateNotices: [(node: Int, lost: Int)] {
        var notices: [(Int, Int)] = []
        for node in 0..<Self.count {
            for other in 0..<Self.count where nodes[node].associations[other] < nodes[other].associations[node] {
                notices.append((node, other))
            }
        }
        return notices
    }

    mutating func refresh(_ node: Int) { nodes[node].fingerprint = nodes[node].broker.snapshot.fingerprint }

    mutating func violate(_ what: String) { if violation == nil { violation = what } }

    static func index(of node: NodeID) -> Int { ids.firstIndex(of: node) ?? 0 }

    static func link(_ from: Int, _ to: Int) -> Int { from * count + to }

    /// The token that a client gets.
    static func token(_ client: Int) -> Token { Token(bytes: [UInt8](repeating: UInt8(client), count: 32))! }

    // MARK: - Brokers

    mutating func handle(_ event: BrokerEvent, at node: Int) {
        if let fault, fault.swallows(event, at: node) { return }
        var actions = nodes[node].broker.handle(event, now: now)
        if let fault { actions = actions.flatMap { fault.spoilt($0, in: self) } }
        run(actions, at: node)
    }

    private mutating func run(_ actions: [BrokerAction], at node: Int) {
        for action in actions {
            switch action {
            case .send(let session, let message):
                if let client = client(of: session) { hear(message, client) }
            case .close(let session, _):
                if let client = client(of: session) { clients[client].isLeaving = true }
            case .tell(let other, let message): tell(message, from: node, to: Self.index(of: other))
            case .endStream(let stream, let outcome):
                let code: FailureCode = if case .failed(let code) = outcome { code } else { .cancelled }
                cutPipes(at: node, code) { $0.stream == stream }
            case .abortStreams(let home, let code): cutPipes(at: node, code) { $0.stream.home == home }
            case .announce(let announcement): announce(announcement, at: node)
            case .mint(let request): nodes[node].mints.append(request)
            case .transferEnded, .limitMet: break
            }
        }
        refresh(node)
    }

    private func client(of session: SessionID) -> Int? {
        clients.firstIndex { $0.session == session && $0.isOpen }
    }

    mutating func tell(_ message: NodeMessage, from node: Int, to other: Int) {
        let message = ModelNode.Message(association: nodes[node].associations[other], body: message)
        links[Self.link(node, other)].append(message)
    }

    /// Redis says what it has now; the nodes that look at it hear it later.
    private mutating func announce(_ announcement: BrokerAnnouncement, at node: Int) {
        for look in directory.announce(announcement, by: Self.ids[node]) {
            let found = directory.receivers(of: look.name, except: look.node)
            if !found.isEmpty { nodes[Self.index(of: look.node)].looks.append(found) }
        }
    }

    /// The sessions of a name on other nodes that want to be rung.
    func receivers(of name: PeerName, except node: Int) -> [SessionID] {
        directory.receivers(of: name, except: Self.ids[node])
    }

    // MARK: - Streams

    /// The byte path of `node` reports.
    mutating func report(_ stream: StreamKey, _ event: StreamEvent, at node: Int) {
        guard stream.home == Self.ids[node] else {
            return tell(.stream(transfer: stream.transfer, event), from: node, to: Self.index(of: stream.home))
        }
        handle(.streamChanged(stream.transfer, event, on: Self.ids[node]), at: node)
    }

    /// The token that is made for `request`: the receiver's, or the sender's.
    func token(for request: TokenRequest, at node: Int) -> Token {
        guard request.role == .download else { return Self.token(0) }
        let receiver = nodes[node].broker.snapshot.transfers[request.transfer]?.receiver
        return Self.token(receiver.flatMap(client) ?? 0)
    }

    mutating func cutPipes(at node: Int, _ code: FailureCode, where isMeant: (ModelNode.Pipe) -> Bool) {
        let meant = nodes[node].pipes.filter(isMeant)
        guard !meant.isEmpty else { return }
        nodes[node].pipes.removeAll(where: isMeant)
        for pipe in meant { report(pipe.stream, .cut(code, bytes: 0), at: node) }
    }
}
