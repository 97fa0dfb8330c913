// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization
import WSProtocol

/// One node among others: brings the exchange, the links, the byte path and what Redis knows together. For any thread.
final class ClusterNode: Sendable {
    let identity: NodeIdentity
    let links: NodeLinks
    let publicURL: PublicURL?
    let routing: ClusterRouting
    let dialer: NodeDialer
    private let admission: Admission
    /// What goes on here. Set from the start to the stop; it holds this node as well.
    private let exchange = Mutex<ExchangeService?>(nil)

    /// - Parameters:
    ///   - publicURL: this node's own address for clients, from its configuration.
    ///   - admission: counts the streams to other nodes.
    init(
        identity: NodeIdentity, publicURL: PublicURL?, routing: ClusterRouting, admission: Admission,
        group: any EventLoopGroup, logger: Logger
    ) {
        self.admission = admission
        self.identity = identity
        self.publicURL = publicURL
        self.routing = routing
        dialer = NodeDialer(identity)
        links = NodeLinks(identity: identity, addresses: routing, group: group, logger: logger)
    }

    /// Takes this node's place in the cluster.
    ///
    /// - Parameters:
    ///   - address: where other nodes dial this one; bound already.
    ///   - ownsAddress: whether nobody else can be dialled there.
    ///   - exchange: hears what the others say from now on.
    /// - Throws: ``OperatorError`` in words when the cluster does not want this node.
    func start(
        at address: ListenAddress, ownsAddress: Bool, _ exchange: ExchangeService
    ) async throws(OperatorError) {
        self.exchange.withLock { $0 = exchange }
        links.start(self)
        try await routing.start(at: address, ownsAddress: ownsAddress, self)
    }

    /// Leaves the cluster.
    func stop() async {
        await routing.stop()
        try? await links.stop()
        exchange.withLock { $0 = nil }
    }

    /// Figures for `status` and the metrics.
    var status: ClusterStatus {
        let (routing, links) = (routing.status, links.status)
        return ClusterStatus(
            node: identity.id.rawValue, redis: routing.isConnected, joined: routing.isJoined,
            hasJoined: routing.hasJoined, nodes: routing.nodes, links: max(links.outbound, links.inbound),
            lost: links.lost, refused: links.refusedCertificates,
            listening: routing.doorbell.isListening, bellsLost: routing.doorbell.lost,
            ignored: routing.ignored + routing.doorbell.ignored
        )
    }

    private func withExchange(_ body: (ExchangeService) -> Void) {
        if let exchange = exchange.withLock({ $0 }) { body(exchange) }
    }
}

extension ClusterNode: Cluster {
    func send(_ message: NodeMessage, to node: NodeID) { links.send(message, to: node) }

    func announce(_ announcement: ExchangeAnnouncement) {
        switch announcement {
        case .receiving(let name, let sessions): routing.setReceiving(name, sessions: sessions)
        case .waiting(let name, let isWaiting): routing.setWaiting(name, isWaiting)
        case .home(let transfer, true): routing.addHome(transfer)
        case .home(let transfer, false): routing.removeHome(transfer)
        case .void(let digest): routing.withdraw(digest)
        }
    }

    func receivers(of name: PeerName) async -> RemoteReceivers {
        guard let sessions = try? await routing.receivers(of: name).get() else { return .unknown }
        return .known(sessions)
    }

    func newToken() async -> Token {
        let token = Token.random()
        // With Redis away the token is good all the same: on this node.
        try? await routing.publish(TokenDigest(token), lifetime: Defaults.Exchange.tokenLifetime).get()
        return token
    }

    func home(of digest: TokenDigest) async throws(ClusterUnavailable) -> NodeID? {
        do {
            return try await routing.home(of: digest).get()
        } catch {
            throw error as? ClusterUnavailable ?? .noAnswer
        }
    }
}

extension ClusterNode: NodeLinkDelegate {
    func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation) {
        withExchange { $0.received(message, from: node) }
    }

    func lost(_ node: NodeID) { withExchange { $0.lost(node) } }
}

extension ClusterNode: ClusterRoutingDelegate {
    func receiversAppeared(_ name: PeerName, _ sessions: [SessionID]) {
        withExchange { $0.handle(.receiversAppeared(name, sessions)) }
    }

    func nodeGone(_ node: NodeID, incarnation: Incarnation) { links.presenceGone(node, incarnation: incarnation) }

    func userChanged(_ name: PeerName, _ user: User?) {
        withExchange { exchange in
            if let user { exchange.nameOwned(name, by: user.key) } else { exchange.nameRemoved(name) }
        }
    }

    var names: [PeerName] { exchange.withLock { $0 }?.names ?? [] }
}

extension ClusterNode: NodeConnector {
    func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        let (routing, dialer, admission) = (routing, dialer, admission)
        return loop.makeFutureWithTask { await routing.address(of: node) }.flatMap { address in
            guard let address else { return loop.makeFailedFuture(ClusterUnavailable.noAnswer) }
            return dialer.connect(to: node, at: address, on: loop) { channel in
                admission.count(channel)
                try initialize(channel)
            }
        }
    }
}
