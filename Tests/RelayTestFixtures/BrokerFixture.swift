// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import TransferBroker
package import WSProtocol

/// A broker with a hand-set clock, and short ways to make things happen to it.
package struct BrokerFixture {
    package var broker: Broker
    package var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var lastSession: UInt64 = 0
    private var lastRequest: UInt64 = 0
    /// The token that was handed out last for each transfer, until a stream comes with it.
    private var tokens: [TransferID: Token] = [:]

    package static let payload = Payload(bytes: Array("payload".utf8))!

    package init(_ change: (inout BrokerLimits) -> Void = { _ in }) {
        var limits = Defaults.Broker.limits
        change(&limits)
        broker = Broker(limits: limits)
    }

    package static func user(_ name: String) -> User {
        let key = Array(repeating: UInt8(name.utf8.count), count: 32)
        return User(name: PeerName(rawValue: name)!, key: .init(bytes: key)!)
    }

    package mutating func nextID() -> RequestID {
        lastRequest += 1
        return .sequence(.client, lastRequest)
    }

    /// Opens a session and, unless told otherwise, lets it be rung.
    package mutating func open(_ name: String, receiving: Bool = true, at address: String? = nil) -> SessionID {
        lastSession += 1
        let session = SessionID(node: .alone, number: lastSession)
        _ = broker.handle(.sessionOpened(session, Self.user(name), nextID(), at: address), now: now)
        if receiving { _ = ask(session) { .presence(.init(id: $0, receiving: true)) } }
        return session
    }

    package mutating func ask(
        _ session: SessionID, found: LookupResult? = nil, _ message: (RequestID) -> ClientMessage
    ) -> [BrokerAction] {
        handle(.requestReceived(message(nextID()), from: session, found: found))
    }

    /// What the event leads to. Tokens are made at once; what is done with them is part of it.
    package mutating func handle(_ event: BrokerEvent) -> [BrokerAction] {
        let actions = broker.handle(event, now: now).flatMap { action in
            guard case .mint(let request) = action else { return [action] }
            return broker.handle(.tokenMinted(.random(), for: request), now: now)
        }
        for case .send(_, .start(let start)) in actions { tokens[start.transfer] = start.token }
        return actions
    }

    package mutating func offer(
        _ session: SessionID, to name: String, transfer: TransferID = .random(), wait: Bool = true,
        payload: Payload = payload
    ) -> (TransferID, [BrokerAction]) {
        let user = Self.user(name)
        let actions = ask(session, found: LookupResult(user: user, elsewhere: .none)) {
            .offer(.init(id: $0, transfer: transfer, to: user.name, wait: wait, payload: payload))
        }
        return (transfer, actions)
    }

    package mutating func share(_ session: SessionID, _ isSharing: Bool = true) {
        _ = ask(session) { .presence(.init(id: $0, receiving: false, sharing: isSharing)) }
    }

    package mutating func request(
        _ session: SessionID, of name: String, _ request: PullRequestID = .random(), elsewhere: RemoteSharers = .none
    ) -> (PullRequestID, [BrokerAction]) {
        let user = Self.user(name)
        let actions = ask(session, found: LookupResult(user: user, elsewhere: .none, sharers: elsewhere)) {
            .request(.init(id: $0, request: request, to: user.name, payload: Self.payload))
        }
        return (request, actions)
    }

    /// Answers a request of `name` with an offer.
    package mutating func answer(
        _ request: PullRequestID, of name: String, by session: SessionID, transfer: TransferID = .random()
    ) -> (TransferID, [BrokerAction]) {
        let user = Self.user(name)
        let actions = ask(session, found: LookupResult(user: user, elsewhere: .none)) {
            .offer(
                .init(
                    id: $0, transfer: transfer, to: user.name, wait: true, payload: Self.payload, request: request))
        }
        return (transfer, actions)
    }

    package mutating func refuse(
        _ request: PullRequestID, of name: String, by session: SessionID, _ code: FailureCode = .notShared
    ) -> [BrokerAction] {
        ask(session) { .refuse(.init(id: $0, request: request, to: Self.user(name).name, code: code)) }
    }

    package mutating func withdraw(_ request: PullRequestID, by session: SessionID) -> [BrokerAction] {
        ask(session) { .withdraw(.init(id: $0, request: request)) }
    }

    package mutating func accept(_ session: SessionID, _ transfer: TransferID) -> [BrokerAction] {
        ask(session) { .accept(.init(id: $0, transfer: transfer, payload: Self.payload)) }
    }

    package mutating func claim(_ token: Token, as role: TransferRole) -> TransferID? {
        broker.claim(TokenDigest(token), as: role, by: .alone, now: now)?.stream.transfer
    }

    /// The byte path of the home reports; the token of the half that it is about has been claimed there.
    package mutating func stream(_ transfer: TransferID, _ event: StreamEvent) -> [BrokerAction] {
        if let token = tokens.removeValue(forKey: transfer) {
            if claim(token, as: .download) == nil { _ = claim(token, as: .upload) }
        }
        return handle(.streamChanged(transfer, event, on: .alone))
    }

    /// A transfer from a new session of alice's to a new one of bob's, as far as its bytes flow.
    package mutating func streaming() -> (transfer: TransferID, sender: SessionID, receiver: SessionID) {
        let sender = open("alice", receiving: false)
        let receiver = open("bob")
        let (transfer, _) = offer(sender, to: "bob")
        _ = accept(receiver, transfer)
        _ = stream(transfer, .downloadParked)
        _ = stream(transfer, .joined)
        return (transfer, sender, receiver)
    }
}

/// What was said to each session, in short: `1:offered`, `2:failed.expired`, `abort.expired`, …
package func summary(_ actions: [BrokerAction]) -> [String] {
    actions.compactMap { action in
        switch action {
        case .send(let session, .error(let refusal)): "\(session.number):error.\(refusal.code.rawValue)"
        case .send(let session, .failed(let failed)): "\(session.number):failed.\(failed.code.rawValue)"
        case .send(let session, .refused(let refused)): "\(session.number):refused.\(refused.code.rawValue)"
        case .send(let session, .offered(let offered)): "\(session.number):\(offered.state.rawValue)"
        case .send(let session, let message): "\(session.number):\(message.kind.rawValue)"
        case .close(let session, let code): "\(session.number):close.\(code.rawValue)"
        case .endStream(_, .failed(let code)): "abort.\(code.rawValue)"
        case .endStream(_, .delivered): "abort.delivered"
        case .tell(let node, let message): "\(node):\(summary(message))"
        case .abortStreams(let home, let code): "abort.\(home).\(code.rawValue)"
        case .transferEnded, .announce, .mint, .limitMet: nil
        }
    }
}

/// What one node tells another, in short.
package func summary(_ message: NodeMessage) -> String {
    switch message {
    case .notice(let session, .ring): "\(session).ring"
    case .notice(let session, .start): "\(session).start"
    case .notice(let session, .ok): "\(session).ok"
    case .notice(let session, .refuse(_, let code)): "\(session).refuse.\(code.rawValue)"
    case .notice(let session, .failed(_, let code, by: _)): "\(session).failed.\(code.rawValue)"
    case .notice(let session, .note): "\(session).note"
    case .release(let session, transfer: _): "\(session).release"
    case .request(let session, let message): "\(session).\(message.kind.rawValue)"
    case .left(let session, transfer: _, let isStopping): "\(session).left\(isStopping ? ".stopping" : "")"
    case .notice(let session, .refused(_, by: _, let code)): "\(session).refused.\(code.rawValue)"
    case .ask(let session, _, from: _, to: _, _): "\(session).ask"
    case .withdrawn(let session, _): "\(session).withdrawn"
    case .claim(id: _, digest: _, let role): "claim.\(role.rawValue)"
    case .claimed(id: _, let transfer, download: _, users: _): transfer == nil ? "claimed.no" : "claimed.yes"
    case .stream(transfer: _, _, url: _): "stream"
    case .abort(transfer: _, .failed(let code)): "abort.\(code.rawValue)"
    case .abort(transfer: _, .delivered): "abort.delivered"
    }
}

/// The token in `actions`.
package func token(in actions: [BrokerAction]) -> Token? {
    for case .send(_, .start(let start)) in actions { return start.token }
    return nil
}

extension PeerName {
    /// A name that is known to be valid.
    package static func test(_ text: String) -> PeerName {
        guard let name = PeerName(rawValue: text) else { fatalError("not a name: \(text)") }
        return name
    }
}

extension NodeID {
    /// An id that is known to be valid.
    package static func test(_ text: String) -> NodeID {
        guard let node = NodeID(rawValue: text) else { fatalError("not a node: \(text)") }
        return node
    }
}

extension User {
    /// A user with keys of its own.
    package static func test(_ name: String) -> User {
        User(name: .test(name), key: .random())
    }
}

extension PublishedPrekey {
    /// One of that month.
    package static func test(_ epoch: UInt32) -> PublishedPrekey {
        PublishedPrekey(epoch: epoch, key: .random(), signature: .random())
    }
}
