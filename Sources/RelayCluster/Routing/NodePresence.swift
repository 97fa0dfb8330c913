// SPDX-License-Identifier: Apache-2.0

import ServerSystem
import TransferBroker
import WSProtocol

/// What a live node says about itself in Redis: the value of `{relay}:node:`*id*.
struct NodePresence: Hashable, Sendable {
    /// Which start of the node this is.
    var incarnation: Incarnation
    /// Where other nodes dial it.
    var address: ListenAddress
    /// Its program's version, for people.
    var version: Label
    /// The last epoch in which it had written everything it has; nil as long as it has not been in any before.
    var epoch: Epoch?

    private struct Form: Codable {
        var incarnation: Incarnation
        var address: String
        var version: Label
        var epoch: Epoch?
    }

    init(incarnation: Incarnation, address: ListenAddress, version: Label, epoch: Epoch? = nil) {
        self.incarnation = incarnation
        self.address = address
        self.version = version
        self.epoch = epoch
    }

    /// Reads what stands in Redis; nil when it is not a presence: any client of Redis may have written it.
    init?(_ text: String) {
        guard text.utf8.count <= Defaults.Routing.presenceLength,
            let form = StrictJSON.decode(Form.self, from: text.utf8),
            let address = ListenAddress(form.address), address.port != 0
        else { return nil }
        self.init(incarnation: form.incarnation, address: address, version: form.version, epoch: form.epoch)
    }

    /// The JSON text; equal presences have equal texts. Nil never happens: all fields are texts.
    var text: String? {
        let form = Form(incarnation: incarnation, address: address.description, version: version, epoch: epoch)
        return try? StrictJSON.encode(form)
    }
}

/// The other nodes of the cluster, as Redis has told last. They stay when Redis is away.
struct NodeTable: Sendable {
    /// A node that is not what it was.
    struct Gone: Hashable, Sendable {
        var node: NodeID
        var incarnation: Incarnation
    }

    /// This node, which is never in the table.
    let own: NodeID
    private(set) var nodes: [NodeID: NodePresence] = [:]

    init(own: NodeID) { self.own = own }

    /// Takes over what Redis says now.
    /// - Parameter isSettled: whether a node that is missing there is missing: in a Redis that was just emptied it is
    ///   not.
    /// - Returns: the processes that were there and are not any more.
    mutating func update(_ read: [NodeID: NodePresence], isSettled: Bool) -> [Gone] {
        var gone: [Gone] = []
        for (node, presence) in nodes {
            let now = read[node]
            if now == nil, !isSettled { continue }
            if now?.incarnation != presence.incarnation {
                gone.append(Gone(node: node, incarnation: presence.incarnation))
            }
            nodes[node] = now
        }
        for (node, presence) in read where node != own && nodes[node] == nil { nodes[node] = presence }
        return gone.sorted { $0.node.rawValue < $1.node.rawValue }
    }
}

extension NodeAddress {
    init(_ presence: NodePresence) {
        self.init(
            host: presence.address.host, port: Int(presence.address.port), incarnation: presence.incarnation)
    }
}
