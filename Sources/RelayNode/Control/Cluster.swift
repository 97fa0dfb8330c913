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

    /// The other nodes with sessions of `name` that share. Never fails, and takes as long if there are none.
    func sharers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteSharers>

    /// Makes a token's home known, which is this node: succeeds once the others can find it out, and fails when they
    /// cannot be told in time. Nil where there are no others.
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
    package func sharers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteSharers> {
        loop.makeSucceededFuture(.none)
    }
    package func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>? { nil }
    package var publicURL: PublicURL? { nil }
    package func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?> {
        loop.makeSucceededFuture(nil)
    }
}

/// How a node stands with the others.
package struct ClusterStatus: Hashable, Sendable, Codable {
    /// This node's id.
    package var node: String
    /// Whether Redis is connected, and whether this node's place in it stands.
    package var redis: Bool
    package var joined: Bool
    /// Whether that place has stood at any time since the start.
    package var hasJoined: Bool
    /// Other nodes that are alive.
    package var nodes: Int
    /// Nodes this one has a link to or from.
    package var links: Int
    /// How often a node was lost, and a certificate refused, since the start.
    package var lost: UInt64
    package var refused: UInt64
    /// Whether doorbells are heard, and how many of this node's were not answered.
    package var listening = false
    package var doorbellsLost = 0
    /// Entries of Redis and doorbells that meant nothing: damaged, of an old form, or forged.
    package var ignored = 0
    /// Users' records that were found in Redis, and that no node of this cluster has written.
    package var forged = 0

    package init(
        node: String, redis: Bool, joined: Bool, hasJoined: Bool, nodes: Int, links: Int, lost: UInt64,
        refused: UInt64, listening: Bool = false, doorbellsLost: Int = 0, ignored: Int = 0,
        forged: Int = 0
    ) {
        self.node = node
        self.redis = redis
        self.joined = joined
        self.hasJoined = hasJoined
        self.nodes = nodes
        self.links = links
        self.lost = lost
        self.refused = refused
        self.listening = listening
        self.doorbellsLost = doorbellsLost
        self.ignored = ignored
        self.forged = forged
    }
}

/// How Redis has answered since the start.
package struct RedisFigures: Hashable, Sendable {
    /// How long its replies took, errors among them.
    package var replies = Histogram(.instants)
    /// Commands that it has refused, and those without a reply.
    package var refused: UInt64 = 0
    package var unanswered: UInt64 = 0
    /// Connections for commands that were made, and commands that were sent again because a Redis Cluster was moving
    /// their slot.
    package var connections: UInt64 = 0
    package var redirections: UInt64 = 0

    package init() {}
}

/// The rest of the cluster, or what it shares, cannot be asked, or cannot answer yet.
package struct ClusterUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// For logs.
    package var reason: String
    /// What the operator has to mend in Redis, if that is the reason.
    package var cause: Cause?

    package init(reason: String, cause: Cause? = nil) {
        self.reason = reason
        self.cause = cause
    }

    /// What trying again does not help against.
    package enum Cause: Hashable, Sendable {
        /// The Redis user may not do it.
        case forbidden
        /// A key holds something else than what a node writes there.
        case wrongType
    }

    package var description: String { reason }

    /// What a client is told.
    package var code: FailureCode { .clusterUnavailable }

    /// Redis was emptied, and the nodes are still writing again.
    package static let settling = ClusterUnavailable(reason: "Redis lacks what nodes are about to write again")
    /// What came is not what the script replies.
    package static let nonsense = ClusterUnavailable(reason: "the reply of Redis is not of the expected form")
    /// Another node did not answer in time, or is lost.
    package static let noAnswer = ClusterUnavailable(reason: "another node did not answer")
    /// More questions wait for answers than are allowed.
    package static let tooMany = ClusterUnavailable(reason: "too many questions to other nodes are open")
}
