// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Something this node has, as a key in Redis that other nodes look up.
enum ClusterRoute: Hashable, Sendable {
    /// Sessions of a name want to be told of offers.
    case receiving(PeerName)
    /// Sessions of a name want to hear requests.
    case sharing(PeerName)
    /// Offers to a name can still reach it.
    case waiting(PeerName)
    /// A transfer's home is here.
    case transfer(TransferID)
    /// A token can be asked about here.
    case token(TokenDigest)

    /// The key in Redis when `node` has it.
    func key(on node: NodeID) -> String {
        switch self {
        case .receiving(let name): ClusterKeys.receiving(name, on: node)
        case .sharing(let name): ClusterKeys.sharing(name, on: node)
        case .waiting(let name): ClusterKeys.waiting(name, on: node)
        case .transfer(let transfer): ClusterKeys.transfer(transfer, on: node)
        case .token(let digest): ClusterKeys.token(digest)
        }
    }
}

/// The values of routes as they stand in Redis. They are checked when read: any client of Redis may have written them.
enum RouteValue {
    /// Sessions that want to be told of offers, and the incarnation they belong to.
    struct Receiving: Hashable, Sendable {
        var incarnation: Incarnation
        var sessions: [UInt64]

        /// `inc n,n,…`, the lowest number first.
        var text: String {
            incarnation.rawValue + " " + sessions.sorted().map(String.init).joined(separator: ",")
        }

        init(incarnation: Incarnation, sessions: [UInt64]) {
            self.incarnation = incarnation
            self.sessions = sessions
        }

        /// Nil unless `text` names an incarnation and 1 to ``Holding/sessions`` of a user different numbers.
        init?(_ text: String) {
            let parts = text.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 2, let incarnation = Incarnation(rawValue: String(parts[0])) else { return nil }
            let numbers = parts[1].split(separator: ",", omittingEmptySubsequences: false)
            guard numbers.count <= Defaults.Broker.user.sessions else { return nil }
            var sessions: [UInt64] = []
            for text in numbers {
                guard let number = UInt64(text), String(number) == text, !sessions.contains(number) else { return nil }
                sessions.append(number)
            }
            self.init(incarnation: incarnation, sessions: sessions)
        }
    }

    /// A token's home.
    struct Home: Hashable, Sendable {
        var node: NodeID
        var incarnation: Incarnation

        /// `node inc`.
        var text: String { "\(node.rawValue) \(incarnation.rawValue)" }

        init(node: NodeID, incarnation: Incarnation) {
            self.node = node
            self.incarnation = incarnation
        }

        /// Nil unless `text` is of that form.
        init?(_ text: String) {
            let parts = text.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 2, let node = NodeID(rawValue: String(parts[0])),
                let incarnation = Incarnation(rawValue: String(parts[1]))
            else { return nil }
            self.init(node: node, incarnation: incarnation)
        }
    }
}
