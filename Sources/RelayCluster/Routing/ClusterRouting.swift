// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
package import TransferBroker
import WSProtocol

/// Keeps what this node has in Redis, and answers what others have. For any thread; nothing waits.
package final class ClusterRouting: Sendable {
    /// Who this node is.
    package struct Location: Sendable {
        package var node: NodeID
        package var incarnation: Incarnation
    }

    package let place: Location
    let store: ClusterStore
    let doorbell: Doorbell
    let epoch: ClusterEpoch
    package let users: RedisUserDirectory
    package let tickets: SharedTickets?
    let times: RoutingTiming
    package let logger: Logger
    let core: Mutex<RoutingCore>

    /// - Parameters:
    ///   - epoch: shared with `users`.
    ///   - tickets: nil when each process makes its own ticket keys.
    init(
        place: Location, store: ClusterStore, doorbell: Doorbell, epoch: ClusterEpoch, users: RedisUserDirectory,
        tickets: SharedTickets?, times: RoutingTiming = RoutingTiming(), logger: Logger
    ) {
        self.place = place
        self.store = store
        self.doorbell = doorbell
        self.epoch = epoch
        self.users = users
        self.tickets = tickets
        self.times = times
        self.logger = logger
        var limits = RoutePublisher.Limits()
        (limits.life, limits.renewal) = (times.life, times.renewal)
        core = Mutex(
            RoutingCore(
                publisher: RoutePublisher(
                    node: place.node, incarnation: place.incarnation, limits: limits
                ),
                table: NodeTable(own: place.node)
            )
        )
    }

    package var loop: any EventLoop { store.eventLoop }

    /// Figures for `status` and metrics.
    package var status: RoutingStatus {
        let bell = doorbell.status
        let isConnected = store.isConnected
        return core.withLock { core in
            RoutingStatus(
                isConnected: isConnected, isJoined: core.publisher.state == .held,
                hasJoined: core.publisher.hasHeld, nodes: core.table.nodes.count,
                receiving: core.publisher.receiving.count, waiting: core.publisher.waiting.count,
                homes: core.publisher.homes.count, tokens: core.publisher.tokens.count, ignored: core.ignored,
                doorbell: bell
            )
        }
    }

    // MARK: What this node has: kept, and repeated until withdrawn

    /// These sessions of `name` want to be rung; none withdraws it. Once it stands, the homes of offers to `name` are
    /// rung.
    func setReceiving(_ name: PeerName, sessions: Set<UInt64>) {
        change { $0.publisher.setReceiving(name, sessions: sessions) }
    }

    /// There are offers to `name` here that can ring. Once that stands, those who receive are told to the delegate.
    func setWaiting(_ name: PeerName, _ isWaiting: Bool) {
        change { $0.publisher.setWaiting(name, isWaiting) }
    }

    /// This node is the home of `transfer`.
    func addHome(_ transfer: TransferID) { change { $0.publisher.addHome(transfer) } }

    func removeHome(_ transfer: TransferID) { change { $0.publisher.removeHome(transfer) } }

    /// This node is the home of a token for `lifetime`: succeeds once others can find that out, or fails with
    /// ``ClusterUnavailable`` within 2 s. It stays announced until withdrawn even then.
    func publish(_ digest: TokenDigest, lifetime: TimeAmount) -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        let isWritten = core.withLock { core in
            guard core.publisher.addToken(digest, expiry: .now() + lifetime), core.publisher.state == .held else {
                return false
            }
            core.publications[digest, default: []].append(promise)
            return true
        }
        guard isWritten else {
            promise.fail(ClusterUnavailable(reason: "a token's home cannot be told now"))
            return promise.futureResult
        }
        let timeout = loop.scheduleTask(in: Defaults.Routing.deadline) { self.fail([digest]) }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        loop.execute { self.pump() }
        return promise.futureResult
    }

    /// The token is used, or of no use any more.
    package func withdraw(_ digest: TokenDigest) { change { $0.publisher.removeToken(digest) } }

    package func fail(_ digests: [TokenDigest]?) {
        let promises = core.withLock { core in
            guard let digests else {
                defer { core.publications = [:] }
                return core.publications.values.flatMap { $0 }
            }
            return digests.flatMap { core.publications.removeValue(forKey: $0) ?? [] }
        }
        for promise in promises { promise.fail(ClusterUnavailable(reason: "Redis did not take a token's home")) }
    }

    private func change(_ body: (inout RoutingCore) -> Void) {
        core.withLock { body(&$0) }
        loop.execute { self.pump() }
    }

    // MARK: Doing, on the event loop

    /// Begins whatever can begin.
    func pump() {
        while let work = core.withLock({ $0.work(now: .now()) }) {
            if let announcement = work.announcement { announce(announcement) }
            for look in work.looks { begin(look) }
        }
    }

    private func announce(_ announcement: Publication) {
        switch announcement {
        case .presence(let replacing):
            presence(replacing).whenComplete { result in
                switch result {
                case .success(let outcome): self.perform { $0.answered(outcome) }
                case .failure(let error):
                    self.presenceFailed(error)
                    self.perform { $0.failed() }
                }
            }
        case .routes(let writes): finish(routes(writes))
        case .users(let users):
            let written = self.users.restore(users)
            written.whenSuccess { count in
                guard count > 0 else { return }
                self.logger.notice("wrote users to redis", metadata: [LogKeys.count: "\(count)"])
            }
            finish(written.map { _ in })
        case .leave:
            finish(
                store.run(
                    ClusterScripts.leave, keys: [ClusterKeys.node(place.node), ClusterKeys.nodes],
                    arguments: [place.incarnation.rawValue, place.node.rawValue]
                ).map { _ in }
            )
        }
    }

    private func finish(_ future: EventLoopFuture<Void>) {
        future.whenComplete { result in
            switch result {
            case .success: self.perform { $0.succeeded() }
            case .failure: self.perform { $0.failed() }
            }
        }
    }

    private func presence(_ replacing: String?) -> EventLoopFuture<PresenceOutcome> {
        let (address, written) = core.withLock { ($0.publisher.address, $0.publisher.written) }
        guard let address else {
            return loop.makeFailedFuture(ClusterUnavailable(reason: "this node's address is not known"))
        }
        let presence = NodePresence(
            incarnation: place.incarnation, address: address, version: Label(clipping: ProgramVersion.current),
            epoch: written
        )
        return store.run(
            ClusterScripts.presence,
            keys: [ClusterKeys.node(place.node), ClusterKeys.nodes, ClusterKeys.epoch],
            arguments: [
                place.incarnation.rawValue, presence.text ?? "", times.life.milliseconds,
                Defaults.Routing.longLife.milliseconds, Epoch.random().rawValue, place.node.rawValue, replacing ?? "",
                ClusterKeys.bellPrefix,
            ]
        ).flatMapThrowing { reply in
            guard let outcome = PresenceOutcome(reply) else { throw ClusterUnavailable.nonsense }
            return outcome
        }
    }

    private func routes(_ writes: [RouteWrite]) -> EventLoopFuture<Void> {
        var arguments: [String] = []
        for write in writes {
            arguments.append(write.value ?? place.incarnation.rawValue)
            arguments.append(write.value == nil ? "0" : write.life.milliseconds)
        }
        return store.run(
            ClusterScripts.routes, keys: writes.map { $0.route.key(on: place.node) }, arguments: arguments
        ).map { _ in }
    }

    private func perform(_ event: (inout RoutePublisher) -> [RoutePublisherAction]) {
        for action in core.withLock({ event(&$0.publisher) }) { perform(action) }
        // Not at once: a call that fails right away would get here from within `pump`.
        loop.execute { self.pump() }
    }

    private func perform(_ action: RoutePublisherAction) {
        switch action {
        case .ringHomes(let name): core.withLock { $0.looks.addHomes(of: name) }
        case .lookForReceivers(let name): core.withLock { $0.looks.addReceivers(of: name) }
        case .published(let digest):
            for promise in core.withLock({ $0.publications.removeValue(forKey: digest) ?? [] }) { promise.succeed() }
        case .joined(let epoch, let others): joined(epoch, others: others)
        case .emptied: logger.warning("redis was emptied or put back; writing everything again")
        case .restoreUsers:
            let seen = users.seen
            core.withLock { $0.publisher.restore(seen) }
            lookAtSessions()
        case .ringAnnounce: core.withLock { $0.tell(.announce) }
        case .everythingWritten: core.withLock { $0.tell(.nodes) }
        case .taken(let presence, let isRenewed): taken(presence, isRenewed: isRenewed)
        case .left: core.withLock { $0.leave.take() }?.succeed()
        }
    }
}
