// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import TransferBroker
package import WSProtocol

/// The other nodes, as this node's sessions and transfers need them. For any thread; what takes a moment is a future.
package protocol Cluster: Sendable {
    /// Tells another node, after everything it was told before. When that cannot be done, the node is lost.
    func send(_ message: NodeMessage, to node: NodeID)

    /// Lets the others find something of this node, until it is taken back.
    func announce(_ announcement: BrokerAnnouncement)

    /// The sessions of `name` on other nodes that want to be rung. Never fails.
    func receivers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteReceivers>

    /// Makes a token's home known, which is this node: succeeds once the others can find it out, and fails when they cannot be told
    /// in time. Nil where there are no others.
    func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>?

    /// This node's own address for clients, if it has one: senders whose download is held here come there.
    var publicURL: PublicURL? { get }

    /// The node to ask about a token; nil when no node has made such a token known. Fails with ``ClusterUnavailable``.
    func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?>
}

/// A node that is the only one.
package struct NoCluster: Cluster {
    package init() {}

    package func send(_ message: NodeMessage, to node: NodeID) {}
    package func announce(_ announcement: BrokerAnnouncement) {}
    package func receivers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteReceivers> {
        loop.makeSucceededFuture(.none)
    }
    package func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>? { nil }
    package var publicURL: PublicURL? { nil }
    package func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?> {
        loop.makeSucceededFuture(nil)
    }
}
