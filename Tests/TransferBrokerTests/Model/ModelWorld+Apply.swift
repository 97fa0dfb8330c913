// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

extension ModelWorld {
    mutating func apply(_ event: ModelEvent) {
        switch event {
        case .deliver(let from, let to, let index, let isCopy): deliver(from, to, index, isCopy: isCopy)
        case .lose(let from, let to, let index): links[Self.link(from, to)].remove(at: index)
        case .notice(let node, let lost): notice(node, lost: lost, association: nodes[lost].associations[node])
        case .cut(let node, let lost):
            nodes[node].associations[lost] += 1
            lose(lost, at: node)
        case .crash(let node): crash(node)
        case .drain(let node): handle(.drainBegun, at: node)
        case .look(let node, let index, let isCopy):
            let found = nodes[node].looks[index]
            if !isCopy { nodes[node].looks.remove(at: index) }
            handle(.receiversAppeared(BrokerFixture.user(Self.recipient).name, found), at: node)
        case .loseLook(let node, let index): nodes[node].looks.remove(at: index)
        case .mint(let node, let index):
            let request = nodes[node].mints.remove(at: index)
            handle(.tokenMinted(token(for: request, at: node), for: request), at: node)
        case .act(let client, let act): self.act(act, by: client)
        case .leave(let client): leave(client)
        case .show(let client, let node): show(client, at: node)
        case .giveUp(let node, let id): nodes[node].questions[id] = nil
        case .attach(let node, let index): attach(nodes[node].halves.remove(at: index), at: node)
        case .finish(let node, let index):
            let pipe = nodes[node].pipes.remove(at: index)
            clients[pipe.client].hasEverything = true
            report(pipe.stream, .finished(bytes: 1), at: node)
        case .cutStream(let node, let index, let code):
            let pipe = nodes[node].pipes.remove(at: index)
            report(pipe.stream, .cut(code, bytes: 0), at: node)
        case .timer: passEarliestDeadline()
        }
    }

    // MARK: - Links and nodes

    private mutating func deliver(_ from: Int, _ to: Int, _ index: Int, isCopy: Bool) {
        let link = Self.link(from, to)
        let message = links[link][index]
        if !isCopy { links[link].remove(at: index) }
        // What belongs to something that was let go of is dropped.
        guard message.association >= nodes[to].associations[from] else { return }
        if message.association > nodes[to].associations[from] {
            notice(to, lost: from, association: message.association)
        }
        receive(message.body, from, to)
    }

    private mutating func notice(_ node: Int, lost: Int, association: Int) {
        nodes[node].associations[lost] = association
        lose(lost, at: node)
    }

    private mutating func lose(_ lost: Int, at node: Int) {
        nodes[node].questions = nodes[node].questions.filter { $0.value.home != lost }
        handle(.nodeLost(Self.ids[lost]), at: node)
    }

    private mutating func receive(_ message: NodeMessage, _ from: Int, _ to: Int) {
        switch message {
        case .claim(let id, let digest, let role):
            let claim = claim(digest, role, asker: from, home: to)
            tell(.claimed(id: id, transfer: claim?.stream.transfer, download: claim?.download), from: to, to: from)
        case .claimed(let id, let transfer, let download, users: _):
            guard let question = nodes[to].questions[id], question.home == from else { return }
            nodes[to].questions[id] = nil
            guard let transfer, let download else { return }
            let stream = StreamKey(home: Self.ids[from], transfer: transfer)
            granted(StreamClaim(stream: stream, download: download), question.role, question.client, at: to)
        case .notice, .release, .request, .left, .ask, .withdrawn, .stream, .abort:
            handle(.messageReceived(message, from: Self.ids[from]), at: to)
        }
    }

    private mutating func crash(_ node: Int) {
        for client in clients.indices where clients[client].session.node == Self.ids[node] {
            clients[client].isOpen = false
            clients[client].isLeaving = false
        }
        var associations = [0, 0, 0]
        for other in 0..<Self.count where other != node {
            associations[other] = max(nodes[node].associations[other], nodes[other].associations[node]) + 1
            for index in nodes[other].pipes.indices where nodes[other].pipes[index].upload == node {
                nodes[other].pipes[index].isBroken = true
            }
        }
        nodes[node] = ModelNode(broker: Broker(node: Self.ids[node], limits: Defaults.Broker.limits))
        nodes[node].associations = associations
        directory.forget(Self.ids[node])
        refresh(node)
        guard let successor = scenario.successor else { return }
        open(successor, at: node)
        act(.receive, by: clients.count - 1)
    }

    // MARK: - Tokens and streams

    private mutating func show(_ client: Int, at node: Int) {
        clients[client].shown.insert(node)
        let role: TransferRole = clients[client].isSender ? .upload : .download
        let digest = TokenDigest(Self.token(client))
        let home = Self.index(of: Self.stream.home)
        guard node != home else {
            if let claim = claim(digest, role, asker: node, home: home) { granted(claim, role, client, at: node) }
            return
        }
        let id = UInt64(client * Self.count + node)
        nodes[node].questions[id] = .init(home: home, role: role, client: client)
        tell(.claim(id: id, digest: digest, role: role), from: node, to: home)
    }

    private mutating func claim(_ digest: TokenDigest, _ role: TransferRole, asker: Int, home: Int) -> StreamClaim? {
        let other: TransferRole = role == .download ? .upload : .download
        if nodes[home].broker.claim(digest, as: other, by: Self.ids[asker], now: now) != nil {
            violate("a token is good for the other half")
        }
        let before = nodes[home].broker
        let claim = nodes[home].broker.claim(digest, as: role, by: Self.ids[asker], now: now)
        if fault == .keepsTokens { nodes[home].broker = before }
        refresh(home)
        guard let claim else { return nil }
        grants[role, default: 0] += 1
        if grants[role] != 1 { violate("the token of the \(role.rawValue) is granted twice") }
        return claim
    }

    private mutating func granted(_ claim: StreamClaim, _ role: TransferRole, _ client: Int, at node: Int) {
        nodes[node].halves.append(
            .init(stream: claim.stream, role: role, download: Self.index(of: claim.download), client: client))
    }

    private mutating func attach(_ half: ModelNode.Half, at node: Int) {
        guard half.role == .upload else {
            nodes[node].pipes.append(.init(stream: half.stream, client: half.client))
            return report(half.stream, .downloadParked, at: node)
        }
        let pipes = nodes[half.download].pipes
        guard let index = pipes.firstIndex(where: { $0.stream == half.stream && $0.upload == nil }) else {
            return report(half.stream, .cut(.receiverGone, bytes: 0), at: node)
        }
        nodes[half.download].pipes[index].upload = node
        report(half.stream, .joined, at: half.download)
    }

    private mutating func passEarliestDeadline() {
        guard let earliest = nodes.compactMap(\.broker.snapshot.nextDeadline).min() else { return }
        now = max(now, earliest)
        for node in nodes.indices { handle(.timerFired, at: node) }
    }
}
