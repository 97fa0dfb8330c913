// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
package import TransferBroker
package import WSProtocol

/// What the rest of the node asks. Answers are hints: only the node that is asked over a link knows.
extension ClusterRouting: NodeAddressBook {
    /// The sessions of `name` on other nodes that are alive; fails with ``ClusterUnavailable`` within 2 s. A node that has
    /// no place among them now does not ask: they could not find what it has for them.
    package func receivers(of name: PeerName) -> EventLoopFuture<[SessionID]> {
        guard core.withLock({ $0.publisher.state == .held }) else {
            return loop.makeFailedFuture(ClusterUnavailable(reason: "this node has no place in Redis now"))
        }
        return look(at: ClusterKeys.receivingPrefix, [name]).map { look in
            var look = look
            let receivers = look.receivers(own: self.place.node)
            self.ignore(look.ignored)
            return receivers[name] ?? []
        }
    }

    /// The node to ask about a token, alive as far as Redis knows; nil when the token is unknown.
    ///
    /// In a Redis that was just emptied, or has just refused something, an absent token says nothing: it is looked for
    /// again while nodes write theirs, for at most 2 s, and then this fails with ``ClusterUnavailable``.
    package func home(of digest: TokenDigest) -> EventLoopFuture<NodeID?> {
        home(of: digest, until: .now() + Defaults.Routing.deadline)
    }

    private func home(of digest: TokenDigest, until deadline: NIODeadline) -> EventLoopFuture<NodeID?> {
        store.run(
            ClusterScripts.home, keys: [ClusterKeys.token(digest), ClusterKeys.epoch],
            arguments: [ClusterKeys.nodePrefix]
        ).flatMap { reply in
            guard let home = RoutingReplies.Home(reply) else {
                return self.loop.makeFailedFuture(ClusterUnavailable.nonsense)
            }
            self.ignore(home.isNonsense ? 1 : 0)
            let now = NIODeadline.now()
            let isSettled = self.epoch.isSettled(home.epoch, now: now) && !self.store.hasRefusedLately(now: now)
            if home.node != nil || isSettled {
                return self.loop.makeSucceededFuture(home.node)
            }
            if home.epoch != self.epoch.known { self.lookAtEpoch() }
            guard now + Defaults.Routing.secondLook < deadline else {
                return self.loop.makeFailedFuture(ClusterUnavailable.settling)
            }
            return self.loop.flatScheduleTask(in: Defaults.Routing.secondLook) {
                self.home(of: digest, until: deadline)
            }.futureResult
        }
    }

    /// The other nodes that are alive as far as Redis knows now; none when it does not say.
    package func others() async -> [NodeID: NodePresence] {
        let reply = try? await store.run(
            ClusterScripts.nodes, keys: [ClusterKeys.nodes, ClusterKeys.epoch], arguments: [ClusterKeys.nodePrefix]
        ).get()
        return (reply.flatMap(RoutingReplies.Nodes.init)?.nodes ?? [:]).filter { $0.key != place.node }
    }

    private func lookAtEpoch() {
        core.withLock { $0.publisher.lookAtEpoch() }
        pump()
    }

    package func address(of node: NodeID) async -> NodeAddress? {
        await presence(of: node).map {
            NodeAddress(host: $0.address.host, port: Int($0.address.port), incarnation: $0.incarnation)
        }
    }

    /// What `node` says about itself: as Redis has it now or, when Redis does not say, as it had it last.
    private func presence(of node: NodeID) async -> NodePresence? {
        let reply = try? await store.run(
            ClusterScripts.address, keys: [ClusterKeys.node(node), ClusterKeys.epoch]
        ).get()
        let last = core.withLock { $0.table.nodes[node] }
        guard let address = reply.flatMap(RoutingReplies.Address.init) else { return last }
        if let presence = address.presence { return presence }
        return epoch.isSettled(address.epoch, now: .now()) ? nil : last
    }
}
