// SPDX-License-Identifier: Apache-2.0

import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

extension ModelWorld {
    /// A connection is made and logs in. Sessions are counted from 1 in each process.
    mutating func open(_ name: String, at node: Int, isSender: Bool = false) {
        let number = clients.count { $0.session.node == Self.ids[node] && $0.isOpen } + 1
        let session = SessionID(node: Self.ids[node], number: UInt64(number))
        clients.append(ModelClient(name: name, session: session, isSender: isSender))
        handle(.sessionOpened(session, BrokerFixture.user(name), .sequence(.client, 0)), at: node)
    }

    mutating func act(_ act: ModelClient.Act, by client: Int) {
        let session = clients[client].session
        let node = Self.index(of: session.node)
        let (id, transfer, payload) = (act.id(of: client), Self.transfer, BrokerFixture.payload)
        clients[client].asked.insert(act)
        let message: ClientMessage
        var found: LookupResult?
        switch act {
        case .receive: message = .presence(.init(id: id, receiving: true))
        case .ask:
            let user = BrokerFixture.user(clients[0].name)
            message = .request(.init(id: id, request: Self.request, to: user.name, payload: payload))
            let sharers = directory.sharers(of: user.name, except: session.node)
            found = LookupResult(user: user, elsewhere: .none, sharers: .known(sharers))
        case .withdraw: message = .withdraw(.init(id: id, request: Self.request))
        case .offer:
            let user = BrokerFixture.user(Self.recipient)
            message = .offer(
                .init(
                    id: id, transfer: transfer, to: user.name, wait: true, payload: payload,
                    request: scenario.isPull ? Self.request : nil))
            found = LookupResult(user: user, elsewhere: .known(receivers(of: user.name, except: node)))
        case .accept: message = .accept(.init(id: id, transfer: transfer, payload: payload))
        case .decline: message = .decline(.init(id: id, transfer: transfer, code: .declined))
        case .cancel: message = .cancel(.init(id: id, transfer: transfer, code: .cancelled))
        case .delivered: message = .delivered(.init(id: id, transfer: transfer, payload: payload))
        }
        handle(.requestReceived(message, from: session, found: found), at: node)
    }

    /// It wants to hear requests.
    mutating func share(_ client: Int) {
        let session = clients[client].session
        let message = ClientMessage.presence(.init(id: .sequence(.relay, 0), receiving: false, sharing: true))
        handle(.requestReceived(message, from: session), at: Self.index(of: session.node))
    }

    /// The connection is gone.
    mutating func leave(_ client: Int) {
        clients[client].isOpen = false
        clients[client].isLeaving = false
        let session = clients[client].session
        handle(.sessionClosed(session), at: Self.index(of: session.node))
    }

    mutating func hear(_ message: ServerMessage, _ client: Int) {
        switch message {
        case .offered:
            if clients[client].verdict != nil { violate("an ended offer goes on") }
            clients[client].isOffered = true
        case .ring: rung(client)
        case .start(let start): started(client, start)
        case .delivered:
            if !clients.contains(where: { $0.asked.contains(.delivered) }) {
                violate("delivered, though no receiver said so")
            }
            conclude(.delivered, client)
        case .failed(let failed): conclude(.failed(failed.code), client)
        case .ok(let ok):
            guard let (asker, act) = ModelClient.Act.of(ok.id) else { return }
            if asker != client { return violate("client \(client) gets an answer to client \(asker)") }
            clients[client].granted.insert(act)
        case .error(let refusal):
            guard let (asker, act) = ModelClient.Act.of(refusal.id) else { return }
            if asker != client { return violate("client \(client) gets a refusal to client \(asker)") }
            clients[client].refused.insert(act)
        case .requested:
            if clients[client].name != clients[0].name { violate("\(clients[client].name) hears alice's requests") }
            clients[client].isAsked = true
        case .challenge, .welcome, .peer, .progress, .note, .refused, .move, .pong: break
        }
        checkVerdicts()
    }

    private mutating func rung(_ client: Int) {
        if clients[client].name != Self.recipient { violate("\(clients[client].name) is rung for another name") }
        if scenario.isPull && !clients[client].asked.contains(.ask) { violate("client \(client) has not asked") }
        let isStillRinging = clients[client].isRung && clients[client].verdict == nil
        if isStillRinging && !scenario.isBroken { violate("client \(client) is rung twice") }
        clients[client].isRung = true
        clients[client].verdict = nil
        clients[client].asked.subtract([.accept, .decline, .cancel])
        clients[client].refused.remove(.accept)
    }

    private mutating func started(_ client: Int, _ start: ServerMessage.Start) {
        if clients[client].isStarted && !scenario.isBroken { violate("client \(client) gets two tokens") }
        clients[client].isStarted = true
        if clients[client].isSender != (start.role == .upload) { violate("client \(client) gets the other's token") }
        guard start.role == .download else { return }
        if start.token != Self.token(client) { violate("client \(client) gets another's token") }
        receivers.insert(client)
        if receivers.count > 1 { violate("clients \(receivers.sorted()) all have a download's token") }
    }

    private mutating func conclude(_ verdict: ModelClient.Verdict, _ client: Int) {
        if clients[client].isSender {
            if clients[client].verdict != nil { violate("the sender hears two verdicts") }
            if clients[client].granted.contains(.cancel) { violate("the sender hears a verdict after its cancel") }
        } else if clients[client].verdict != nil, verdict != .failed(.clusterUnavailable), !scenario.isBroken {
            violate("client \(client) hears two verdicts")
        }
        clients[client].verdict = verdict
    }

    /// No side may believe the opposite of what the other was told. A receiver that loses its home while it waits to
    /// hear that its `delivered` was heard cannot know: it is told that the cluster is unavailable.
    private mutating func checkVerdicts() {
        let receiver = clients.first { $0.isStarted && !$0.isSender }
        switch clients[0].verdict {
        case nil: break
        case .delivered:
            guard case .failed(let code)? = receiver?.verdict, code != .clusterUnavailable else { return }
            if !scenario.isBroken { violate("delivered for the sender, \(code.rawValue) for the receiver") }
        case .failed:
            if receiver?.granted.contains(.delivered) == true { violate("failed for the sender only") }
        }
    }
}
