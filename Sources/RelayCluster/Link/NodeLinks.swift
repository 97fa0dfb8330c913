// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization
import TransferBroker
import WSProtocol

/// The links with all other nodes. May be used from any thread.
///
/// Everything happens on one event loop: messages between nodes are short and few beside the bytes of transfers, and so
/// they stay in order without a lock.
package final class NodeLinks: Sendable {
    /// How often both sides of a link ping, and how long they wait for the answer.
    let heartbeat: WebSocketHeartbeat
    private let loop: any EventLoop
    private let table: NIOLoopBoundBox<LinkTable>
    private let published: LinkCounts
    private let inboundConnections = Atomic<UInt64>(0)

    /// Makes a service that does nothing until `start`.
    ///
    /// - Parameters:
    ///   - addresses: where other nodes are; asked once for each association.
    ///   - group: one of its event loops is used.
    init(
        identity: NodeIdentity, addresses: any NodeAddressBook, group: any EventLoopGroup, logger: Logger,
        timing: LinkTiming = LinkTiming(),
        heartbeat: WebSocketHeartbeat = .init(
            interval: Defaults.Link.heartbeat, answerWithin: Defaults.Link.heartbeatAnswer)
    ) {
        let (loop, counts) = (group.next(), LinkCounts())
        self.loop = loop
        self.heartbeat = heartbeat
        published = counts
        table = NIOLoopBoundBox.makeBoxSendingValue(
            LinkTable(
                identity: identity, addresses: addresses, loop: loop, logger: logger, timing: timing,
                heartbeat: heartbeat, counts: counts),
            eventLoop: loop)
    }

    /// From now on `delegate` hears what comes. Connections that came before were closed.
    func start(_ delegate: any NodeLinkDelegate) { onLoop { $0.start(delegate) } }

    /// Closes all connections and forgets everything; nothing is reported any more.
    func stop() async throws {
        try await loop.submit { [table] in table.value.stop() }.get()
    }

    /// Sends a message, sooner or later, or the node is reported lost. Never blocks. Messages to one node keep the
    /// order of the calls.
    func send(_ message: NodeMessage, to node: NodeID) { onLoop { $0.send(message, to: node) } }

    /// The presence of `incarnation` was seen to vanish. A hint: a node that is connected stays.
    func presenceGone(_ node: NodeID, incarnation: Incarnation) {
        onLoop { $0.presenceGone(node, incarnation) }
    }

    /// How links are.
    var status: NodeLinkStatus { published.status }

    /// The nodes that are known to be there now.
    func connected() async -> [NodeID] { (try? await loop.submit { [table] in table.value.connected }.get()) ?? [] }

    // MARK: - For the node listener's connections

    /// A number for a connection that another node has made.
    func nextInbound() -> LinkConnection {
        .inbound(inboundConnections.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    /// A node, proven by its certificate, has called.
    func called(_ hello: LinkFrame.Hello, _ connection: LinkConnection, on channel: any Channel) {
        onLoop { $0.called(hello, connection, on: channel) }
    }

    /// A message has come.
    func received(_ message: NodeMessage, seq: UInt64, from node: NodeID, on connection: LinkConnection) {
        onLoop { $0.received(message, seq: seq, from: node, on: connection) }
    }

    /// A connection that another node made has closed.
    func disconnected(_ node: NodeID, _ connection: LinkConnection, silence: TimeAmount) {
        onLoop { $0.disconnected(node, connection, silence: silence) }
    }

    /// A connection was ended because of a certificate; `node` is nil when it did not get as far as a name.
    func refusedCertificate(of node: NodeID?, at address: String, _ reason: String) {
        onLoop { $0.refusedCertificate(of: node, at: address, reason) }
    }

    /// A connection was ended because the other side broke a rule.
    func violated(by node: NodeID?) { onLoop { $0.violated(by: node) } }

    private func onLoop(_ body: @escaping @Sendable (LinkTable) -> Void) {
        loop.execute { [table] in body(table.value) }
    }
}

/// Hears what comes over links. Called on one event loop, one call at a time; must not block.
protocol NodeLinkDelegate: Sendable {
    /// A message of that incarnation of `node`; each exactly once, in the order they were sent.
    func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation)

    /// Everything shared with that node's process is over, in both directions: nothing that was sent before arrives any
    /// more, nothing that it sent before is delivered.
    func lost(_ node: NodeID)
}

/// How links are, and what has happened on them since the process began.
struct NodeLinkStatus: Hashable, Sendable {
    /// Links over which this node can speak now, and those over which others speak to it.
    var outbound = 0
    var inbound = 0
    /// Messages that wait for another node's acknowledgement.
    var waitingMessages = 0
    /// How often a node was found to be lost.
    var lost: UInt64 = 0
    /// Connections, either way, that ended because of a certificate.
    var refusedCertificates: UInt64 = 0
    /// Connections that ended because the other side broke a rule.
    var violations: UInt64 = 0
}

/// What is known of all links, for callers on other threads.
final class LinkCounts: Sendable {
    private let counts = Mutex(NodeLinkStatus())

    /// How it is now.
    var status: NodeLinkStatus { counts.withLock { $0 } }

    /// Changes it.
    func update(_ change: (inout NodeLinkStatus) -> Void) { counts.withLock { change(&$0) } }
}
