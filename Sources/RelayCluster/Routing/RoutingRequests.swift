// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// What routing asks of Redis: the scripts with their keys and arguments, and their replies, checked.
///
/// Each request takes 2 s at most, and fails with ``ClusterUnavailable``.
struct RoutingRequests: Sendable {
    let instance: NodeInstance
    let store: ClusterStore
    /// How long a presence lives without a renewal.
    let life: TimeAmount

    /// Takes or renews this node's presence.
    ///
    /// - Parameters:
    ///   - epoch: the last one in which everything has been written.
    ///   - replacing: the presence that may be replaced.
    func takePresence(
        at address: ListenAddress, epoch: Epoch?, replacing: String?
    ) -> EventLoopFuture<PresenceOutcome> {
        let presence = NodePresence(
            incarnation: instance.incarnation, address: address, version: Label(clipping: ProgramVersion.current),
            epoch: epoch
        )
        return run(
            ClusterScripts.presence, keys: [ClusterKeys.node(instance.node), ClusterKeys.nodes, ClusterKeys.epoch],
            arguments: [
                instance.incarnation.rawValue, presence.text ?? "", life.milliseconds,
                Defaults.Routing.longLife.milliseconds, Epoch.random().rawValue, instance.node.rawValue,
                replacing ?? "", ClusterKeys.channelPrefix,
            ]
        ) { PresenceOutcome($0) }
    }

    /// Writes and withdraws routes.
    func write(_ writes: [RouteWrite]) -> EventLoopFuture<Void> {
        var arguments: [String] = []
        for write in writes {
            arguments.append(write.value ?? instance.incarnation.rawValue)
            arguments.append(write.value == nil ? "0" : write.life.milliseconds)
        }
        return store.run(
            ClusterScripts.routes, keys: writes.map { $0.route.key(on: instance.node) }, arguments: arguments
        ).map { _ in }
    }

    /// Takes this node's presence away.
    func removePresence() -> EventLoopFuture<Void> {
        store.run(
            ClusterScripts.leave, keys: [ClusterKeys.node(instance.node), ClusterKeys.nodes],
            arguments: [instance.incarnation.rawValue, instance.node.rawValue]
        ).map { _ in }
    }

    /// The routes of names on all live nodes.
    func routes(of names: [PeerName], at prefix: String) -> EventLoopFuture<RoutingReplies.Lookup> {
        run(
            ClusterScripts.lookup, keys: [ClusterKeys.nodes, ClusterKeys.epoch],
            arguments: [ClusterKeys.nodePrefix, prefix] + names.map(\.rawValue)
        ) { RoutingReplies.Lookup($0) }
    }

    /// The nodes with sessions of a name that share. Whether there are any makes no difference but in the reply.
    func sharers(of name: PeerName) -> EventLoopFuture<RoutingReplies.Lookup> {
        run(
            ClusterScripts.sharers, keys: [ClusterKeys.nodes, ClusterKeys.epoch],
            arguments: [ClusterKeys.nodePrefix, ClusterKeys.sharingPrefix, name.rawValue]
        ) { RoutingReplies.Lookup($0) }
    }

    /// The nodes that are alive.
    func nodes() -> EventLoopFuture<RoutingReplies.Nodes> {
        run(
            ClusterScripts.nodes, keys: [ClusterKeys.nodes, ClusterKeys.epoch], arguments: [ClusterKeys.nodePrefix]
        ) { RoutingReplies.Nodes($0) }
    }

    /// The entry of a token.
    func home(of digest: TokenDigest) -> EventLoopFuture<RoutingReplies.Home> {
        run(
            ClusterScripts.home, keys: [ClusterKeys.token(digest), ClusterKeys.epoch],
            arguments: [ClusterKeys.nodePrefix]
        ) { RoutingReplies.Home($0) }
    }

    /// The presence of `node`.
    func address(of node: NodeID) -> EventLoopFuture<RoutingReplies.Address> {
        run(ClusterScripts.address, keys: [ClusterKeys.node(node), ClusterKeys.epoch]) { RoutingReplies.Address($0) }
    }

    private func run<Reply: Sendable>(
        _ script: RedisScript, keys: [String], arguments: [String] = [],
        _ read: @escaping @Sendable (RESPValue) -> Reply?
    ) -> EventLoopFuture<Reply> {
        store.run(script, keys: keys, arguments: arguments).flatMapThrowing { reply in
            guard let reply = read(reply) else { throw ClusterUnavailable.nonsense }
            return reply
        }
    }
}
