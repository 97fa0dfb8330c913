// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RedisTransport
import TransferBroker
import WSProtocol

/// What the scripts of ``ClusterScripts`` reply, checked. Nil means that it is not of the form; what is of the form and
/// yet makes no sense is left out and counted.
enum RoutingReplies {
    /// The nodes that are alive.
    struct Nodes: Sendable {
        var epoch: Epoch?
        var nodes: [NodeID: NodePresence] = [:]
        /// Entries that were ignored.
        var ignored = 0

        init?(_ reply: RESPValue) {
            guard let parts = reply.elements, parts.count >= 2, let epoch = parts[0].text,
                let entries = parts[1].elements, entries.count.isMultiple(of: 2)
            else { return nil }
            self.epoch = Epoch(rawValue: epoch)
            for index in stride(from: 0, to: entries.count, by: 2) {
                if let node = entries[index].text.flatMap(NodeID.init(rawValue:)),
                    let presence = entries[index + 1].text.flatMap(NodePresence.init)
                {
                    nodes[node] = presence
                } else {
                    ignored += 1
                }
            }
        }
    }

    /// Routes of names on live nodes.
    struct Lookup: Sendable {
        var nodes: Nodes
        /// The value of each route, as it stands there.
        var routes: [(name: PeerName, node: NodeID, value: String)] = []
        var ignored = 0

        init?(_ reply: RESPValue) {
            guard let nodes = Nodes(reply), let parts = reply.elements, parts.count == 3,
                let entries = parts[2].elements, entries.count.isMultiple(of: 3)
            else { return nil }
            self.nodes = nodes
            ignored = nodes.ignored
            for index in stride(from: 0, to: entries.count, by: 3) {
                if let name = entries[index].text.flatMap(PeerName.init(rawValue:)),
                    let node = entries[index + 1].text.flatMap(NodeID.init(rawValue:)),
                    let value = entries[index + 2].text
                {
                    routes.append((name, node, value))
                } else {
                    ignored += 1
                }
            }
        }

        /// The sessions of names on other nodes than `own` that are alive.
        mutating func receivers(own: NodeID) -> [PeerName: [SessionID]] {
            var found: [PeerName: [SessionID]] = [:]
            for (name, node, value) in routes where node != own {
                guard let route = RouteValue.Receiving(value) else {
                    ignored += 1
                    continue
                }
                guard nodes.nodes[node]?.incarnation == route.incarnation else { continue }
                found[name, default: []] += route.sessions.map { SessionID(node: node, number: $0) }
            }
            return found
        }

        /// The other nodes that have offers to names, or sessions of them that share.
        mutating func homes(own: NodeID) -> [PeerName: [NodeID]] {
            var found: [PeerName: [NodeID]] = [:]
            for (name, node, value) in routes where node != own {
                guard let incarnation = Incarnation(rawValue: value) else {
                    ignored += 1
                    continue
                }
                if nodes.nodes[node]?.incarnation == incarnation { found[name, default: []].append(node) }
            }
            return found
        }
    }

    /// A token's entry and the presence of the node it names.
    struct Home: Sendable {
        var epoch: Epoch?
        /// The node to ask, when it is alive.
        var node: NodeID?
        /// There is an entry that means nothing.
        var isNonsense: Bool

        init?(_ reply: RESPValue) {
            guard let parts = reply.elements, parts.count == 3, let epoch = parts[0].text,
                let entry = parts[1].text, let presence = parts[2].text
            else { return nil }
            self.epoch = Epoch(rawValue: epoch)
            let home = RouteValue.Home(entry)
            isNonsense = home == nil && !entry.isEmpty
            if let home, NodePresence(presence)?.incarnation == home.incarnation { node = home.node }
        }
    }

    /// One node's presence.
    struct Address: Sendable {
        var epoch: Epoch?
        var presence: NodePresence?

        init?(_ reply: RESPValue) {
            guard let parts = reply.elements, parts.count == 2, let epoch = parts[0].text, let text = parts[1].text
            else { return nil }
            self.epoch = Epoch(rawValue: epoch)
            presence = NodePresence(text)
        }
    }
}

extension PresenceOutcome {
    /// Nil when `reply` is not what the script replies.
    init?(_ reply: RESPValue) {
        guard let parts = reply.elements, parts.count == 3, let isHeld = parts[0].number, let text = parts[1].text,
            let number = parts[2].number
        else { return nil }
        if isHeld == 1 {
            guard let epoch = Epoch(rawValue: text) else { return nil }
            self = .held(epoch, isNew: number > 0, others: Int(clamping: max(number, 1)) - 1)
        } else {
            self = .taken(text, remaining: .milliseconds(min(max(number, 0), 3_600_000)))
        }
    }
}
