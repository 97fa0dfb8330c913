// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What a node has to read in Redis. Of each kind one lookup is under way at a time, so that no number of notifications
/// makes more than that.
struct LookupQueue: Sendable {
    /// A question to Redis.
    enum Lookup: Hashable, Sendable {
        /// Sessions that receive, for names that have offers here.
        case receivers([PeerName])
        /// Nodes that have offers, for names that receive here.
        case homes([PeerName])
        /// The users that names belong to now.
        case users([PeerName])
        case nodes
        case tickets

        var kind: Kind {
            switch self {
            case .receivers: .receivers
            case .homes: .homes
            case .users: .users
            case .nodes: .nodes
            case .tickets: .tickets
            }
        }
    }

    /// What a lookup is about.
    enum Kind: Hashable, Sendable, CaseIterable {
        case receivers, homes, users, nodes, tickets
    }

    private var receivers = OrderedQueue<PeerName>(capacity: Defaults.Routing.waitingLookups)
    private var homes = OrderedQueue<PeerName>(capacity: Defaults.Routing.waitingLookups)
    private var users = OrderedQueue<PeerName>(capacity: Defaults.Routing.waitingLookups)
    /// A lookup of users has failed: the next waits for its time.
    private var areUsersBlocked = false
    private var isNodesDue = false
    private var isTicketsDue = false
    private var underWay: Set<Kind> = []

    mutating func addReceivers(of name: PeerName) { _ = receivers.append(name) }
    mutating func addHomes(of name: PeerName) { _ = homes.append(name) }
    mutating func addUser(_ name: PeerName) { _ = users.append(name) }
    mutating func addNodes() { isNodesDue = true }
    mutating func addTickets() { isTicketsDue = true }

    /// The lookups that can begin.
    mutating func next() -> [Lookup] {
        let begun = Kind.allCases.filter { !underWay.contains($0) }.compactMap { take($0) }
        underWay.formUnion(begun.map(\.kind))
        return begun
    }

    private mutating func take(_ kind: Kind) -> Lookup? {
        switch kind {
        case .receivers:
            return receivers.isEmpty ? nil : .receivers(receivers.popFirst(Defaults.Routing.namesPerLookup))
        case .homes: return homes.isEmpty ? nil : .homes(homes.popFirst(Defaults.Routing.namesPerLookup))
        case .users:
            return users.isEmpty || areUsersBlocked ? nil : .users(users.popFirst(Defaults.Routing.namesPerLookup))
        case .nodes:
            defer { isNodesDue = false }
            return isNodesDue ? .nodes : nil
        case .tickets:
            defer { isTicketsDue = false }
            return isTicketsDue ? .tickets : nil
        }
    }

    /// A lookup that was under way has succeeded.
    mutating func succeeded(_ lookup: Lookup) { underWay.remove(lookup.kind) }

    /// It has failed. The next renewal reads everything again but for users, so that these stay.
    mutating func failed(_ lookup: Lookup) {
        underWay.remove(lookup.kind)
        guard case .users(let names) = lookup else { return }
        for name in names { addUser(name) }
        areUsersBlocked = true
    }

    /// Time has passed, or the connection is another: what has failed may be tried again.
    mutating func retry() { areUsersBlocked = false }
}
