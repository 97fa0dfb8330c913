// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

@testable import TransferBroker

extension ModelWorld {
    var step: ModelStep {
        var step = ModelStep()
        for node in 0..<Self.count { addEvents(of: node, to: &step) }
        for (node, lost) in lateNotices { step.due.append(.notice(node, lost: lost)) }
        for client in clients.indices { addEvents(ofClient: client, to: &step) }
        if allows(.timer), nodes.contains(where: { $0.broker.snapshot.nextDeadline != nil }) {
            step.surprising.append(.timer)
        }
        return step
    }

    private func allows(_ surprise: ModelScenario.Surprise) -> Bool {
        surprisesLeft > 0 && scenario.surprises.contains(surprise)
    }

    private func addEvents(of node: Int, to step: inout ModelStep) {
        for other in 0..<Self.count where other != node { addEvents(from: node, to: other, to: &step) }
        for index in nodes[node].looks.indices {
            step.due.append(.look(node, index: index, isCopy: false))
            if allows(.repeatLook) { step.surprising.append(.look(node, index: index, isCopy: true)) }
            if allows(.loseLook) { step.surprising.append(.loseLook(node, index: index)) }
        }
        for index in nodes[node].mints.indices { step.due.append(.mint(node, index: index)) }
        for index in nodes[node].halves.indices { step.due.append(.attach(node, index: index)) }
        for (index, pipe) in nodes[node].pipes.enumerated() {
            if pipe.isBroken { step.due.append(.cutStream(node, pipe: index, .clusterUnavailable)) }
            if pipe.upload != nil, !pipe.isBroken { step.free.append(.finish(node, pipe: index)) }
            guard allows(.cutStream) else { continue }
            step.surprising.append(.cutStream(node, pipe: index, .receiverGone))
            if pipe.upload != nil { step.surprising.append(.cutStream(node, pipe: index, .senderGone)) }
        }
        if allows(.giveUp) {
            for id in nodes[node].questions.keys.sorted() { step.surprising.append(.giveUp(node, question: id)) }
        }
        if allows(.crash) { step.surprising.append(.crash(node)) }
        if allows(.drain), !nodes[node].broker.snapshot.sessions.isDraining { step.surprising.append(.drain(node)) }
    }

    private func addEvents(from node: Int, to other: Int, to step: inout ModelStep) {
        let messages = links[Self.link(node, other)]
        if allows(.cut), nodes[node].associations[other] == nodes[other].associations[node] {
            step.surprising.append(.cut(node, lost: other))
        }
        guard !messages.isEmpty else { return }
        step.due.append(.deliver(from: node, to: other, index: 0, isCopy: false))
        if allows(.lose) { step.surprising.append(.lose(from: node, to: other, index: 0)) }
        if allows(.duplicate) { step.surprising.append(.deliver(from: node, to: other, index: 0, isCopy: true)) }
        if allows(.reorder) {
            for index in messages.indices.dropFirst() {
                step.surprising.append(.deliver(from: node, to: other, index: index, isCopy: false))
            }
        }
    }

    private func addEvents(ofClient index: Int, to step: inout ModelStep) {
        let client = clients[index]
        if client.isStarted {
            for node in client.isSender ? scenario.uploads : scenario.downloads where !client.shown.contains(node) {
                step.free.append(.show(index, at: node))
            }
        }
        if client.isLeaving { step.due.append(.leave(index)) }
        guard client.isOpen else { return }
        if allows(.leave), !client.isLeaving { step.surprising.append(.leave(index)) }
        let isOver = client.verdict != nil
        if client.isSender {
            if client.isAsked, !client.asked.contains(.offer) { step.free.append(.act(index, .offer)) }
            if allows(.cancel), !isOver, !client.asked.contains(.cancel) {
                step.surprising.append(.act(index, .cancel))
            }
            return
        }
        if !scenario.isPull, !client.asked.contains(.receive) { step.free.append(.act(index, .receive)) }
        if allows(.withdraw), client.asked.contains(.ask), !client.asked.contains(.withdraw) {
            step.surprising.append(.act(index, .withdraw))
        }
        guard client.isRung, !isOver else { return }
        if client.asked.isDisjoint(with: [.accept, .decline, .cancel]) {
            step.free.append(.act(index, .accept))
            if allows(.decline) { step.surprising.append(.act(index, .decline)) }
        }
        guard client.asked.isDisjoint(with: [.decline, .cancel, .delivered]) else { return }
        // It may overtake the token that the home is still making for its `accept`.
        if allows(.cancel) { step.surprising.append(.act(index, .cancel)) }
        guard client.isStarted else { return }
        if client.hasEverything {
            step.free.append(.act(index, .delivered))
        } else if allows(.early) {
            step.surprising.append(.act(index, .delivered))
        }
    }
}
