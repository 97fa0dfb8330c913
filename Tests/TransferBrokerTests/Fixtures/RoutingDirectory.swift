// SPDX-License-Identifier: Apache-2.0

import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

/// What the nodes have announced, as Redis would have it, and who has to look because of it.
struct RoutingDirectory: Hashable {
    /// A session waits for a name, and there is news of it.
    struct Look: Hashable {
        var node: NodeID
        var name: PeerName
    }

    private var receiving: [PeerName: [NodeID: Set<UInt64>]] = [:]
    private var sharing: [PeerName: Set<NodeID>] = [:]
    private var waiting: [PeerName: Set<NodeID>] = [:]

    /// Notes what `node` announces; returns who has to look at once.
    mutating func announce(_ announcement: BrokerAnnouncement, by node: NodeID) -> [Look] {
        switch announcement {
        case .receiving(let name, let sessions):
            receiving[name, default: [:]][node] = sessions.isEmpty ? nil : sessions
            let others = (waiting[name] ?? []).subtracting([node])
            return others.sorted { $0.rawValue < $1.rawValue }.map { Look(node: $0, name: name) }
        case .waiting(let name, true):
            waiting[name, default: []].insert(node)
            return [Look(node: node, name: name)]
        case .waiting(let name, false):
            waiting[name]?.remove(node)
            return []
        case .sharing(let name, true):
            sharing[name, default: []].insert(node)
            return []
        case .sharing(let name, false):
            sharing[name]?.remove(node)
            return []
        case .home, .void: return []
        }
    }

    /// The sessions of a name on other nodes that want to be rung.
    func receivers(of name: PeerName, except node: NodeID) -> [SessionID] {
        (receiving[name] ?? [:]).filter { $0.key != node }.sorted { $0.key.rawValue < $1.key.rawValue }
            .flatMap { node, numbers in numbers.sorted().map { SessionID(node: node, number: $0) } }
    }

    /// The other nodes with sessions of a name that share.
    func sharers(of name: PeerName, except node: NodeID) -> [NodeID] {
        (sharing[name] ?? []).subtracting([node]).sorted { $0.rawValue < $1.rawValue }
    }

    /// Whether a session of that name wants to be rung on any node.
    func isReceiving(_ name: PeerName) -> Bool { receiving[name]?.isEmpty == false }

    /// The process of `node` is gone, and what it announced with it.
    mutating func forget(_ node: NodeID) {
        for name in receiving.keys { receiving[name]?[node] = nil }
        for name in waiting.keys { waiting[name]?.remove(node) }
        for name in sharing.keys { sharing[name]?.remove(node) }
    }
}
