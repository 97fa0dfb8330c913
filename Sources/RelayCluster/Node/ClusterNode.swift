// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
package import RelayNode
package import ServerSystem
import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// One node among others: brings the broker, the links, the byte path and what Redis knows together. For any thread.
package final class ClusterNode: Sendable {
    /// In a structure: a closure that is itself the value of a mutex is wrapped once more by each access.
    private struct AccountObserver {
        var call: (@Sendable (PeerName, UserAccount) -> Void)?
    }

    package let identity: NodeIdentity
    package let links: NodeLinks
    package let publicURL: PublicURL?
    package let routing: ClusterRouting
    private let dialer: NodeDialer
    private let admission: Admission
    /// What goes on here. Set from the start to the stop; it holds this node as well.
    private let broker = Mutex<BrokerService?>(nil)
    private let accounts = Mutex(AccountObserver())

    /// - Parameters:
    ///   - publicURL: this node's own address for clients, from its configuration.
    ///   - admission: counts the streams to other nodes.
    package init(
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
    ///   - ownsAddress: whether no other process can be dialled there.
    ///   - broker: hears what the others say from now on.
    /// - Throws: ``OperatorError`` when the cluster does not want this node.
    package func start(
        at address: ListenAddress, ownsAddress: Bool, _ broker: BrokerService
    ) async throws(OperatorError) {
        self.broker.withLock { $0 = broker }
        links.start(self)
        try await routing.start(at: address, ownsAddress: ownsAddress, self)
    }

    /// Leaves the cluster.
    package func stop() async {
        await routing.stop()
        try? await links.stop()
        broker.withLock { $0 = nil }
    }

    /// Figures for `status` and the metrics.
    package var status: ClusterStatus {
        let (routing, links) = (routing.status, links.status)
        return ClusterStatus(
            node: identity.id.rawValue, redis: routing.isConnected, joined: routing.isJoined,
            hasJoined: routing.hasJoined, nodes: routing.nodes, links: max(links.outbound, links.inbound),
            lost: links.lost, refused: links.refusedCertificates,
            listening: routing.doorbell.isListening, doorbellsLost: routing.doorbell.lost,
            ignored: routing.ignored + routing.doorbell.ignored, forged: self.routing.users.forged
        )
    }

    private func withBroker(_ body: (BrokerService) -> Void) {
        if let broker = broker.withLock({ $0 }) { body(broker) }
    }
}

extension ClusterNode: Cluster {
    package func send(_ message: NodeMessage, to node: NodeID) { links.send(message, to: node) }

    package func announce(_ announcement: BrokerAnnouncement) {
        switch announcement {
        case .receiving(let name, let sessions): routing.setReceiving(name, sessions: sessions)
        case .sharing(let name, let isSharing): routing.setSharing(name, isSharing)
        case .waiting(let name, let isWaiting): routing.setWaiting(name, isWaiting)
        case .home(let transfer, true): routing.addHome(transfer)
        case .home(let transfer, false): routing.removeHome(transfer)
        case .void(let digest): routing.withdraw(digest)
        }
    }

    package func receivers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteReceivers> {
        routing.receivers(of: name).map { .known($0) }.recover { _ in .unknown }.hop(to: loop)
    }

    package func sharers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteSharers> {
        routing.sharers(of: name).map { .known($0) }.recover { _ in .unknown }.hop(to: loop)
    }

    package func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>? {
        routing.publish(digest, lifetime: Defaults.Broker.tokenLifetime)
    }

    package func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?> {
        routing.home(of: digest).flatMapErrorThrowing { throw $0 as? ClusterUnavailable ?? .noAnswer }.hop(to: loop)
    }
}

extension ClusterNode: NodeLinkDelegate {
    package func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation) {
        withBroker { $0.received(message, from: node) }
    }

    package func lost(_ node: NodeID) { withBroker { $0.lost(node) } }
}

extension ClusterNode: ClusterRoutingDelegate {
    package func receiversAppeared(_ name: PeerName, _ sessions: [SessionID]) {
        withBroker { $0.handle(.receiversAppeared(name, sessions)) }
    }

    package func nodeGone(_ node: NodeID, incarnation: Incarnation) {
        links.presenceGone(node, incarnation: incarnation)
    }

    package func userChanged(_ name: PeerName, _ user: User?) {
        withBroker { broker in
            if let user { broker.nameOwned(name, by: user.key) } else { broker.nameRemoved(name) }
        }
    }

    package func accountChanged(_ name: PeerName, _ account: UserAccount) {
        if account.disabled != nil { withBroker { $0.nameDisabled(name) } }
        accounts.withLock { $0.call }?(name, account)
    }

    /// Tells `observer` what operators lay down about users, as it is found to have changed.
    package func observeAccounts(_ observer: @escaping @Sendable (PeerName, UserAccount) -> Void) {
        accounts.withLock { $0.call = observer }
    }

    package var names: [PeerName] { broker.withLock { $0 }?.names ?? [] }
}

extension ClusterNode: NodeConnector {
    package func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        let (routing, dialer, admission) = (routing, dialer, admission)
        return routing.address(of: node).hop(to: loop).flatMap { address in
            guard let address else { return loop.makeFailedFuture(ClusterUnavailable.noAnswer) }
            return dialer.connect(to: node, at: address, on: loop) { channel in
                admission.count(channel)
                try initialize(channel)
            }
        }
    }
}

/// What operators ask of other nodes by way of this one.
extension ClusterNode {
    /// The other nodes, in the order of their ids: those that Redis names, and those that this node has a link with.
    /// `isWhole` is false when Redis does not say, so that there may be others.
    package func others() async -> (nodes: [NodeID], isWhole: Bool) {
        let (named, isCurrent) = await routing.named()
        let nodes = named.union(await links.connected())
        return (nodes.sorted { $0.rawValue < $1.rawValue }, isCurrent)
    }

    /// Asks `node`, on a connection of its own: what goes on between the nodes' clients does not depend on it.
    ///
    /// - Parameter inquiry: printable ASCII.
    /// - Throws: ``ClusterUnavailable`` without an answer in ``Defaults/Inquiry/deadline``.
    package func ask(_ node: NodeID, _ inquiry: String) async throws(ClusterUnavailable) -> String {
        let loop = routing.loop
        let answer = loop.makePromise(of: String.self)
        let deadline = loop.scheduleTask(in: Defaults.Inquiry.deadline) { answer.fail(ClusterUnavailable.noAnswer) }
        connect(to: node, on: loop) { channel in
            answer.futureResult.whenComplete { _ in channel.close(promise: nil) }
            try channel.pipeline.syncOperations.addHandler(InquiryHandler(inquiry, to: node, answer: answer))
        }.whenFailure { answer.fail($0) }
        defer { deadline.cancel() }
        do {
            return try await answer.futureResult.get()
        } catch {
            throw error as? ClusterUnavailable ?? ClusterUnavailable(reason: "\(error)")
        }
    }
}

/// Whether this node's certificates are those of the cluster that its Redis belongs to.
extension ClusterNode {
    /// Another node of an authority that this one does not know, when all that could be asked are: this node was given
    /// the certificates of another cluster. Calls a few of those that are alive, and takes 2 s at most after Redis has
    /// answered.
    ///
    /// A node that cannot be reached, or an unexpected peer at its address, proves nothing: the address may have been
    /// given to another machine.
    package func memberOfAnotherCluster() async -> NodeID? {
        let others = await routing.others().shuffled().prefix(Defaults.Link.firstCalls)
        return await withTaskGroup(of: (NodeID, isKnown: Bool?).self) { group in
            for (node, presence) in others {
                group.addTask { (node, await self.knowsAuthority(of: node, at: presence)) }
            }
            var other: NodeID?
            for await (node, isKnown) in group {
                switch isKnown {
                case true?:
                    group.cancelAll()
                    return nil
                case false?: other = node
                case nil: break
                }
            }
            return other
        }
    }

    /// Nil when there was no way to find out.
    private func knowsAuthority(of node: NodeID, at presence: NodePresence) async -> Bool? {
        do {
            let channel = try await dialer.connect(
                to: node, at: NodeAddress(presence), on: routing.loop, initializer: { _ in }
            ).get()
            channel.close(promise: nil)
            return true
        } catch NodeDialError.otherAuthority {
            return false
        } catch {
            return nil
        }
    }
}
