// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

extension ModelWorld {
    /// What is wrong although nothing is on its way; nil when the nodes agree about who takes part in what.
    var disagreement: String? {
        let brokers = nodes.map(\.broker.snapshot)
        for (home, broker) in brokers.enumerated() {
            for (session, transfers) in broker.remoteSessions {
                let there = brokers[Self.index(of: session.node)]
                for transfer in transfers
                where there.remoteTransfers[transfer]?.sessions.contains(session) != true
                    || there.remoteTransfers[transfer]?.home != Self.ids[home]
                {
                    return "\(session) knows nothing of a transfer that counts on it"
                }
            }
            for (transfer, remote) in broker.remoteTransfers {
                let there = brokers[Self.index(of: remote.home)]
                for session in remote.sessions where there.remoteSessions[session]?.contains(transfer) != true {
                    return "\(session) waits for a transfer that does not know it"
                }
            }
        }
        return strayRequest
    }

    /// What is wrong about requests of sessions that other nodes have in mind.
    private var strayRequest: String? {
        for node in nodes {
            for (request, open) in node.broker.snapshot.openRequests {
                for session in open.keys {
                    let home = nodes[Self.index(of: session.node)].broker.snapshot
                    if home.openRequests[request]?[session] == nil { return "a request that \(session) does not have" }
                }
            }
        }
        return nil
    }

    /// Lets everything end by itself: what is on its way comes, Redis is looked at again, streams stall, and deadlines
    /// pass. Afterwards nothing may be left but an offer that still waits for a receiver.
    func closed() -> ModelWorld {
        var world = self
        if scenario.isBroken { world.loseEveryNode() }
        // At most: a look rings, the ring expires, and what was said about it comes.
        for _ in 0..<3 {
            world.settle()
            world.lookAgain()
            world.settle()
            for node in world.nodes.indices { world.cutPipes(at: node, .stalled) { _ in true } }
            world.settle()
            world.now = world.now + .hours(1)
            for node in world.nodes.indices { world.handle(.timerFired, at: node) }
        }
        world.settle()
        world.checkEmpty()
        world.checkVerdictsAreIn()
        return world
    }

    /// Delivers everything that is on its way, and what follows from it.
    private mutating func settle() {
        while violation == nil, let event = step.due.first { apply(event) }
    }

    /// The look at Redis that each node has every few seconds.
    private mutating func lookAgain() {
        let name = BrokerFixture.user(Self.recipient).name
        for node in nodes.indices where !nodes[node].broker.snapshot.sessions.presence(of: name).offers.isEmpty {
            handle(.receiversAppeared(name, receivers(of: name, except: node)), at: node)
        }
    }

    /// Each node takes each other for lost, and whatever is on its way is dropped.
    private mutating func loseEveryNode() {
        for link in links.indices { links[link] = [] }
        for node in nodes.indices {
            for other in nodes.indices where other != node {
                nodes[node].associations[other] += 1
                nodes[node].questions = nodes[node].questions.filter { $0.value.home != other }
                handle(.nodeLost(Self.ids[other]), at: node)
            }
        }
    }

    private mutating func checkEmpty() {
        for node in nodes.indices {
            let broker = nodes[node].broker.snapshot
            if !broker.remoteTransfers.isEmpty { violate("\(node): a transfer of another home is left") }
            if !broker.remoteSessions.isEmpty { violate("\(node): a remote session is left") }
            if !broker.pendingTokens.isEmpty { violate("\(node): a token is left that is being made") }
            if !broker.halves.isEmpty { violate("\(node): a half is left") }
            if !broker.openRequests.isEmpty { violate("\(node): a request is left") }
            if !broker.unusedTokens.isEmpty { violate("\(node): a token is left") }
            if nodes[node].broker.activeTransfers != 0 { violate("\(node): an active transfer is left") }
            if broker.nextDeadline != nil { violate("\(node): a deadline is left") }
            if !nodes[node].questions.isEmpty { violate("\(node): a claim is unanswered") }
            for transfer in broker.transfers.values where !isWaiting(transfer) {
                violate("\(node): a transfer is left in the state \(transfer.state)")
            }
            if let broken = nodes[node].broker.brokenInvariant(now: now) { violate("\(node) at the end: \(broken)") }
        }
    }

    /// Whether the transfer waits, and rightly so.
    private func isWaiting(_ transfer: RelayedTransfer) -> Bool {
        guard case .waiting = transfer.state else { return false }
        return !directory.isReceiving(transfer.recipient)
    }

    private mutating func checkVerdictsAreIn() {
        guard !scenario.isBroken else { return }
        for (index, client) in clients.enumerated() where client.isOwedVerdict {
            let home = nodes[Self.index(of: client.session.node)].broker.snapshot
            if client.isSender, home.transfers[Self.transfer] != nil { continue }
            violate("client \(index) never hears how it ended")
        }
    }
}
