// SPDX-License-Identifier: Apache-2.0

package import TransferBroker
package import WSProtocol

/// The other nodes, as this node's sessions and transfers need them. For any thread.
package protocol Cluster: Sendable {
    /// Tells another node, after everything it was told before. When that cannot be done, the node is lost.
    func send(_ message: NodeMessage, to node: NodeID)

    /// Lets the others find something of this node, until it is taken back.
    func announce(_ announcement: ExchangeAnnouncement)

    /// The sessions of `name` on other nodes that want to be rung.
    func receivers(of name: PeerName) async -> RemoteReceivers

    /// A fresh token whose home is this node. The others know so when it returns, if they can be told at all.
    func newToken() async -> Token

    /// This node's own address for clients, if it has one: senders whose download is held here come there.
    var publicURL: PublicURL? { get }

    /// The node to ask about a token; nil when nobody has made such a token known.
    func home(of digest: TokenDigest) async throws(ClusterUnavailable) -> NodeID?
}

/// A node that is the only one.
package struct NoCluster: Cluster {
    package init() {}

    package func send(_ message: NodeMessage, to node: NodeID) {}
    package func announce(_ announcement: ExchangeAnnouncement) {}
    package func receivers(of name: PeerName) async -> RemoteReceivers { .none }
    package func newToken() async -> Token { .random() }
    package var publicURL: PublicURL? { nil }
    package func home(of digest: TokenDigest) async throws(ClusterUnavailable) -> NodeID? { nil }
}
