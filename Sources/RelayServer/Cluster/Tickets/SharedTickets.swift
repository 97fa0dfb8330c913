// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import Synchronization
import TLSTransport
import WSProtocol

/// Keeps this node's session ticket keys the same as those of its cluster.
final class SharedTickets: Sendable {
    private struct State {
        var current: TicketKeyring?
        var hasComplained = false
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

    /// Takes over what stands in Redis, and makes new keys when it is time.
    /// - Parameter ring: tells the other nodes that there are new ones.
    func look(ring: @escaping @Sendable () -> Void) -> EventLoopFuture<Void> {
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
            case .use(let keyring): self.use(keyring)
            case .keepOwn: self.complain()
            case .write(let keyring): return self.write(keyring, over: read.text, ring: ring)
            }
            return self.store.eventLoop.makeSucceededVoidFuture()
        }
    }

    private func write(
        _ keyring: TicketKeyring, over text: String, ring: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<Void> {
        guard let sealed = sealed.seal(keyring) else { return store.eventLoop.makeSucceededVoidFuture() }
        return store.run(
            TicketScripts.replace, keys: [ClusterKeys.tickets],
            arguments: [text, sealed, Defaults.Routing.ticketLife.milliseconds]
        ).map { reply in
            // Whoever was quicker rings, and then these are read.
            guard reply.number == 1 else { return }
            self.use(keyring)
            ring()
        }
    }

    private func use(_ keyring: TicketKeyring) {
        let isNew = state.withLock { state in
            defer { (state.current, state.hasComplained) = (keyring, false) }
            return state.current != keyring
        }
        guard isNew else { return }
        keys.replace(with: keyring)
        logger.info("session ticket keys of the cluster", metadata: [LogKeys.count: "\(keyring.keys.count)"])
    }

    private func complain() {
        let isFirst = state.withLock { state in
            defer { state.hasComplained = true }
            return !state.hasComplained
        }
        guard isFirst else { return }
        logger.warning("ticket keys in redis were sealed with another cluster secret; this node uses its own")
    }
}
