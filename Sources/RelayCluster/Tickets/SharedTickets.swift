// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
import TLSTransport
import TransferBroker
import WSProtocol

/// Keeps this node's session ticket keys the same as those of its cluster.
final class SharedTickets: Sendable {
    private struct State {
        /// The cluster's newest keys, which older ones never replace.
        var current: TicketKeyring?
        /// Whether this node uses them, and when Redis last said that they are the cluster's.
        var isShared = false
        var confirmed = NIODeadline.uptimeNanoseconds(0)
        var hasWarned = false
    }

    private let store: ClusterStore
    private let sealed: SealedTickets
    private let keys: TicketKeys
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter keys: what the TLS contexts of this node use; keys of their own until the cluster's are known.
    init(store: ClusterStore, secret: ClusterSecret, keys: TicketKeys, logger: Logger) {
        self.store = store
        sealed = SealedTickets(secret)
        self.keys = keys
        self.logger = logger
    }

    /// Takes over what stands in Redis, and makes new keys when it is time. Keys that Redis has not confirmed for so
    /// long that it would have been time are given up for own ones, which this node rotates itself.
    /// - Parameter rotated: called when this node has written new ones.
    func refresh(now: NIODeadline = .now(), rotated: @escaping @Sendable () -> Void) -> EventLoopFuture<Void> {
        read(now, rotated: rotated).always { _ in self.expire(now) }
    }

    private func read(_ time: NIODeadline, rotated: @escaping @Sendable () -> Void) -> EventLoopFuture<Void> {
        store.run(TicketScripts.read, keys: [ClusterKeys.tickets]).flatMap { reply in
            guard let read = TicketReply(reply) else {
                return self.store.eventLoop.makeFailedFuture(ClusterUnavailable.nonsense)
            }
            let stored: TicketDecision.Stored =
                if read.text.isEmpty { .nothing } else {
                    self.sealed.open(read.text).map { .keyring($0) } ?? .unreadable
                }
            let current = self.state.withLock { $0.current }
            switch TicketDecision(stored, current: current, now: read.now) {
            case .use(let keyring): self.use(keyring, time)
            case .keepOwn: self.warn()
            case .write(let keyring): return self.write(keyring, over: read.text, time, rotated: rotated)
            }
            return self.store.eventLoop.makeSucceededVoidFuture()
        }
    }

    private func write(
        _ keyring: TicketKeyring, over text: String, _ time: NIODeadline, rotated: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<Void> {
        guard let sealed = sealed.seal(keyring) else { return store.eventLoop.makeSucceededVoidFuture() }
        return store.run(
            TicketScripts.replace, keys: [ClusterKeys.tickets],
            arguments: [text, sealed, Defaults.Routing.ticketLife.milliseconds]
        ).map { reply in
            // Another node was quicker: it notifies the others, and then its keys are read.
            guard reply.number == 1 else { return }
            self.use(keyring, time)
            rotated()
        }
    }

    private func use(_ keyring: TicketKeyring, _ time: NIODeadline) {
        let isNew = state.withLock { state in
            defer {
                (state.current, state.isShared) = (keyring, true)
                (state.confirmed, state.hasWarned) = (time, false)
            }
            return state.current != keyring || !state.isShared
        }
        guard isNew else { return }
        keys.replace(with: keyring)
        logger.info("session ticket keys of the cluster", metadata: [LogKeys.count: "\(keyring.keys.count)"])
    }

    private func expire(_ now: NIODeadline) {
        let isOver = state.withLock { state in
            guard state.isShared, now >= state.confirmed + .seconds(TLSDefaults.ticketRotation) else { return false }
            state.isShared = false
            return true
        }
        guard isOver else { return }
        keys.useOwn()
        logger.warning("redis has not confirmed the ticket keys of the cluster for long; this node uses its own")
    }

    private func warn() {
        let isFirst = state.withLock { state in
            defer { state.hasWarned = true }
            return !state.hasWarned
        }
        guard isFirst else { return }
        logger.warning(
            "{relay}:tickets in redis was sealed with another cluster secret or is damaged, and this node does not use it; if all nodes have the same secret, delete that key"
        )
    }
}
