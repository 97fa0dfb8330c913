// SPDX-License-Identifier: Apache-2.0

import Logging
package import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
package import WSProtocol

/// Looking at what other nodes have: because a bell was rung, because something changed here, or because it is time.
extension ClusterRouting {
    /// Begins one look. It is over when Redis has answered or 2 s have passed.
    package func begin(_ look: LookupQueue.Lookup) {
        switch look {
        case .receivers(let names):
            end(look, self.look(at: ClusterKeys.receivingPrefix, names).map { self.report($0, names) })
        case .homes(let names):
            end(look, self.look(at: ClusterKeys.waitingPrefix, names).map { self.ring($0, names) })
        case .users(let names): end(look, users.refresh(names))
        case .nodes: end(look, readNodes())
        case .tickets:
            end(look, tickets?.look(ring: { self.doorbell.ringAll(.tickets) }) ?? loop.makeSucceededVoidFuture())
        }
    }

    var delegate: (any ClusterRoutingDelegate)? { core.withLock { $0.delegate } }

    private func end(_ look: LookupQueue.Lookup, _ future: EventLoopFuture<Void>) {
        future.whenComplete { result in
            self.core.withLock { core in
                switch result {
                case .success: core.looks.succeeded(look)
                case .failure: core.looks.failed(look)
                }
            }
            self.loop.execute { self.pump() }
        }
    }

    /// The routes of names on all live nodes.
    package func look(at prefix: String, _ names: [PeerName]) -> EventLoopFuture<RoutingReplies.Lookup> {
        store.run(
            ClusterScripts.look, keys: [ClusterKeys.nodes, ClusterKeys.epoch],
            arguments: [ClusterKeys.nodePrefix, prefix] + names.map(\.rawValue)
        ).flatMapThrowing { reply in
            guard let look = RoutingReplies.Lookup(reply) else { throw ClusterUnavailable.nonsense }
            return look
        }
    }

    package func ignore(_ count: Int) {
        if count > 0 { core.withLock { $0.ignored += count } }
    }

    private func report(_ look: RoutingReplies.Lookup, _ names: [PeerName]) {
        var look = look
        let receivers = look.receivers(own: place.node)
        ignore(look.ignored)
        for name in names {
            guard let sessions = receivers[name], core.withLock({ $0.publisher.waiting.contains(name) }) else {
                continue
            }
            delegate?.receiversAppeared(name, sessions)
        }
    }

    private func ring(_ look: RoutingReplies.Lookup, _ names: [PeerName]) {
        var look = look
        let homes = look.homes(own: place.node)
        ignore(look.ignored)
        for name in names { for home in homes[name] ?? [] { doorbell.ring(.receiving(name), at: home) } }
    }

    private func readNodes() -> EventLoopFuture<Void> {
        store.run(
            ClusterScripts.nodes, keys: [ClusterKeys.nodes, ClusterKeys.epoch], arguments: [ClusterKeys.nodePrefix]
        ).flatMapThrowing { reply in
            guard let read = RoutingReplies.Nodes(reply) else { throw ClusterUnavailable.nonsense }
            self.take(read)
        }
    }

    private func take(_ read: RoutingReplies.Nodes) {
        let isSettled = epoch.isSettled(read.epoch, now: .now())
        let (gone, nodes, untold, delegate) = core.withLock { core in
            core.ignored += read.ignored
            if read.epoch != core.publisher.epoch { core.publisher.lookAtEpoch() }
            let gone = core.table.update(read.nodes, isSettled: isSettled)
            let nodes = core.table.nodes.values
            if core.awaited > 0, nodes.count >= core.awaited,
                nodes.allSatisfy({ $0.epoch == nil || $0.epoch == read.epoch })
            {
                core.awaited = 0
                epoch.othersCame()
            }
            return (gone, Set(core.table.nodes.keys), core.takeUntold(in: read.epoch), core.delegate)
        }
        doorbell.know(nodes)
        for notification in untold { doorbell.ringAll(notification) }
        for one in gone {
            logger.notice("a node is gone", metadata: [LogKeys.node: "\(one.node)"])
            delegate?.nodeGone(one.node, incarnation: one.incarnation)
        }
    }

    /// A bell was rung. Any client of Redis may have done so: this costs a look and nothing else.
    package func heard(_ bell: ClusterNotification) {
        core.withLock { core in
            switch bell {
            case .receiving(let name):
                if core.publisher.waiting.contains(name) { core.looks.addReceivers(of: name) }
            case .announce: core.publisher.lookAtEpoch()
            case .nodes: core.looks.addNodes()
            case .user(let name): core.looks.addUser(name)
            case .tickets: core.looks.addTickets()
            }
        }
        pump()
    }
}
