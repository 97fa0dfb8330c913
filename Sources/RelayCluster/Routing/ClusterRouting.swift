// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
import TransferBroker
import WSProtocol

/// Keeps what this node has in Redis, and answers what others have. For any thread; nothing waits.
package final class ClusterRouting: Sendable {
    let store: ClusterStore
    let requests: RoutingRequests
    let epoch: ClusterEpoch
    let users: RedisUserDirectory
    let tickets: SharedTickets
    private let instance: NodeInstance
    private let doorbell: Doorbell
    private let timing: RoutingTiming
    private let logger: Logger
    private let core: Mutex<RoutingCore>

    /// - Parameter epoch: shared with `users`.
    init(
        instance: NodeInstance, store: ClusterStore, doorbell: Doorbell, epoch: ClusterEpoch,
        users: RedisUserDirectory, tickets: SharedTickets, timing: RoutingTiming = RoutingTiming(), logger: Logger
    ) {
        self.instance = instance
        self.store = store
        self.doorbell = doorbell
        self.epoch = epoch
        self.users = users
        self.tickets = tickets
        self.timing = timing
        self.logger = logger
        requests = RoutingRequests(instance: instance, store: store, life: timing.life)
        core = Mutex(RoutingCore(instance, timing: timing))
    }

    var loop: any EventLoop { store.eventLoop }

    /// Figures for `status` and metrics.
    var status: RoutingStatus {
        let (doorbell, isConnected) = (doorbell.status, store.isConnected)
        return core.withLock { $0.status(isConnected: isConnected, doorbell: doorbell) }
    }

    // MARK: Joining the cluster

    /// Takes this node's place in Redis, and keeps it from then on.
    ///
    /// - Parameters:
    ///   - address: where other nodes dial this one. It has to be bound by now.
    ///   - ownsAddress: whether no other process can be dialled there: that is what tells an earlier start of this node
    ///     at once from another that was given the same id.
    /// An unreachable Redis is no error: the node joins when it comes back.
    /// - Throws: ``OperatorError`` when Redis refuses this node, or when another live process has its id.
    func start(
        at address: ListenAddress, ownsAddress: Bool, _ delegate: any ClusterRoutingDelegate
    ) async throws(OperatorError) {
        try await probe()
        let promise = loop.makePromise(of: RoutingCore.StartOutcome.self)
        core.withLock { $0.begin(at: address, ownsAddress: ownsAddress, delegate, promise) }
        users.observe { [weak self] in self?.delegate?.userChanged($0, $1) }
        users.observeAccounts { [weak self] in self?.delegate?.accountChanged($0, $1) }
        store.observe { [weak self] in self?.connectionChanged($0) }
        store.client.start()
        doorbell.start(
            Doorbell.Events(
                heard: { [weak self] in self?.heard($0) }, listening: { [weak self] in self?.listening() },
                failed: { [weak self] in self?.listeningFailed($0) }
            )
        )
        let timers = [
            every(timing.renewal) { $0.renew() },
            every(timing.ticketLookup) { routing in routing.core.withLock { $0.addTickets() } },
        ]
        // A start that has to wait for another process tries more often than a renewal is due.
        let claim = every(timing.claimLookup) { routing in routing.core.withLock { $0.checkEpoch() } }
        let giveUp = loop.scheduleTask(in: timing.claim) { self.started(self.core.withLock { $0.lateOutcome }) }
        core.withLock { $0.keep(timers) }
        let outcome = (try? await promise.futureResult.get()) ?? .away
        claim.cancel()
        giveUp.cancel()
        switch outcome {
        case .joined: logger.notice("joined the cluster", metadata: [LogKeys.node: "\(instance.node)"])
        case .away: logger.warning("redis is away; the node joins the cluster when it is back")
        case .refused(let other):
            await stop()
            let location = other.map { " at \($0.address)" } ?? ""
            throw OperatorError(
                .configuration,
                "another live relay-server\(location) has the node id \(instance.node): "
                    + "stop it, or choose another with --node-id"
            )
        case .forbidden(let reason):
            await stop()
            throw OperatorError(
                .configuration,
                "\(store.settings.url.address): the Redis user may not do what a node does (\(reason)): allow it "
                    + "scripts and what they run, PUBLISH, SUBSCRIBE, and the keys and channels {relay}:*"
            )
        }
    }

    private func probe() async throws(OperatorError) {
        let result = try? await RedisProbe.run(store.settings, on: loop).get()
        guard case .refused(let refusal) = result else { return }
        throw OperatorError(.configuration, "\(store.settings.url.address): \(refusal)")
    }

    private func every(_ time: TimeAmount, _ body: @escaping @Sendable (ClusterRouting) -> Void) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: time, delay: time) { [weak self] _ in
            guard let self else { return }
            body(self)
            self.pump()
        }
    }

    private func started(_ outcome: RoutingCore.StartOutcome) {
        core.withLock { $0.takeStart() }?.succeed(outcome)
    }

    private func joined(_ epoch: Epoch, others: Int) {
        self.epoch.joined(epoch, isShared: others > 0, now: .now())
        core.withLock { $0.joined(others: others) }
        users.importLocal()
        started(.joined)
    }

    private func taken(_ presence: NodePresence?, isRenewed: Bool) {
        let (refusesStart, isLogged) = core.withLock { $0.taken(presence, isRenewed: isRenewed, now: .now()) }
        if refusesStart { started(.refused(presence)) }
        guard isLogged else { return }
        logger.error(
            "another process has this node's id; this one serves alone until the other ends",
            metadata: [
                LogKeys.node: "\(instance.node)",
                LogKeys.address: "\(presence.map { "\($0.address)" } ?? "unknown")",
            ]
        )
    }

    // MARK: Leaving it

    /// Leaves: takes presence and routes away and tells the other nodes. Takes 2 s at most when Redis is away.
    func stop() async {
        let promise = loop.makePromise(of: Void.self)
        let (timers, isLeaving) = core.withLock { $0.end(promise) }
        for timer in timers { timer.cancel() }
        fail(core.withLock { $0.takePublications() })
        started(.away)
        if isLeaving {
            let timeout = loop.scheduleTask(in: Defaults.Routing.deadline) { self.left() }
            loop.execute { self.pump() }
            try? await promise.futureResult.get()
            timeout.cancel()
            doorbell.notifyAll(.nodes)
        } else {
            promise.succeed()
        }
        await doorbell.stop()
        try? await store.client.stop().get()
    }

    private func left() { core.withLock { $0.takeLeave() }?.succeed() }

    // MARK: Connection and time

    private func connectionChanged(_ isConnected: Bool) {
        if isConnected {
            joinIfComplete()
        } else {
            fail(core.withLock { $0.disconnected() })
            started(.away)
        }
        pump()
    }

    /// Notifications come from now on, and may have been lost until now.
    private func listening() {
        joinIfComplete()
        readSessionUsers()
        core.withLock { $0.listens() }
        pump()
    }

    /// Nothing is announced before notifications can be heard: those that other nodes send because of it would be lost.
    private func joinIfComplete() {
        guard store.isConnected, doorbell.status.isListening else { return }
        core.withLock { $0.connected() }
    }

    private func listeningFailed(_ error: any Error) {
        if let error = error as? RedisError, error.isForbidden { started(.forbidden("\(error)")) }
    }

    private func renew() {
        let isRoundOver = core.withLock { $0.renew(now: .now()) }
        let names = isRoundOver ? delegate?.names : nil
        core.withLock { $0.addSomeUsers(names) }
    }

    /// A user with a session here may have been removed, and the notification that said so was lost.
    private func readSessionUsers() {
        let names = delegate?.names ?? []
        core.withLock { $0.addUsers(names) }
    }

    private var delegate: (any ClusterRoutingDelegate)? { core.withLock { $0.delegate } }

    // MARK: Doing, on the event loop

    /// Begins whatever can begin.
    private func pump() {
        while let work = core.withLock({ $0.work(now: .now()) }) {
            if let announcement = work.announcement { announce(announcement) }
            for lookup in work.lookups { begin(lookup) }
        }
    }

    private func announce(_ announcement: Publication) {
        switch announcement {
        case .presence(let replacing):
            takePresence(replacing).whenComplete { result in
                switch result {
                case .success(let outcome): self.ended(.answered(outcome))
                case .failure(let error):
                    if let error = error as? ClusterUnavailable, error.cause == .forbidden {
                        self.started(.forbidden(error.reason))
                    }
                    self.ended(.failed)
                }
            }
        case .routes(let writes): finish(requests.write(writes))
        case .users(let users):
            let written = self.users.restore(users)
            written.whenSuccess { count in
                guard count > 0 else { return }
                self.logger.notice("wrote users to redis", metadata: [LogKeys.count: "\(count)"])
            }
            finish(written.map { _ in })
        case .leave: finish(requests.removePresence())
        }
    }

    private func takePresence(_ replacing: String?) -> EventLoopFuture<PresenceOutcome> {
        let (address, epoch) = core.withLock { $0.announced }
        guard let address else {
            return loop.makeFailedFuture(ClusterUnavailable(reason: "this node's address is not known"))
        }
        return requests.takePresence(at: address, epoch: epoch, replacing: replacing)
    }

    private func finish(_ future: EventLoopFuture<Void>) {
        future.whenComplete { result in
            switch result {
            case .success: self.ended(.succeeded)
            case .failure: self.ended(.failed)
            }
        }
    }

    private func ended(_ ending: RoutingCore.Ending) {
        for action in core.withLock({ $0.ended(ending) }) { perform(action) }
        // Not at once: a call that fails right away would get here from within `pump`.
        loop.execute { self.pump() }
    }

    private func perform(_ action: RoutePublisherAction) {
        switch action {
        case .notifyHomes(let name): core.withLock { $0.addHomes(of: name) }
        case .findReceivers(let name): core.withLock { $0.addReceivers(of: name) }
        case .published(let digest):
            for promise in core.withLock({ $0.takePublications(of: [digest]) }) { promise.succeed() }
        case .joined(let epoch, let others): joined(epoch, others: others)
        case .emptied: logger.warning("redis was emptied or put back; writing everything again")
        case .restoreUsers:
            let seen = users.seen
            core.withLock { $0.restore(seen) }
            readSessionUsers()
        case .announceEpoch: core.withLock { $0.tell(.announce) }
        case .everythingWritten: core.withLock { $0.tell(.nodes) }
        case .taken(let presence, let isRenewed): taken(presence, isRenewed: isRenewed)
        case .left: left()
        }
    }
}

// MARK: - What this node has: kept, and repeated until withdrawn

extension ClusterRouting {
    /// These sessions of `name` want to be told of offers; none withdraws it. Once it stands, the homes of offers to
    /// `name` are notified.
    func setReceiving(_ name: PeerName, sessions: Set<UInt64>) {
        change { $0.setReceiving(name, sessions: sessions) }
    }

    /// Whether sessions of `name` want to hear requests here.
    func setSharing(_ name: PeerName, _ isSharing: Bool) { change { $0.setSharing(name, isSharing) } }

    /// There are offers to `name` here that can still reach it. Once that stands, the sessions that receive are told to
    /// the delegate.
    func setWaiting(_ name: PeerName, _ isWaiting: Bool) {
        change { $0.setWaiting(name, isWaiting) }
    }

    /// This node is the home of `transfer`.
    func addHome(_ transfer: TransferID) { change { $0.addHome(transfer) } }

    func removeHome(_ transfer: TransferID) { change { $0.removeHome(transfer) } }

    /// This node is the home of a token for `lifetime`: succeeds once others can find that out, or fails with
    /// ``ClusterUnavailable`` within 2 s. It stays announced until withdrawn even then.
    func publish(_ digest: TokenDigest, lifetime: TimeAmount) -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        guard core.withLock({ $0.addToken(digest, expiry: .now() + lifetime, promise) }) else {
            promise.fail(ClusterUnavailable(reason: "a token's home cannot be told now"))
            return promise.futureResult
        }
        let timeout = loop.scheduleTask(in: Defaults.Routing.deadline) {
            self.fail(self.core.withLock { $0.takePublications(of: [digest]) })
        }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        loop.execute { self.pump() }
        return promise.futureResult
    }

    /// The token is used, or of no use any more.
    func withdraw(_ digest: TokenDigest) { change { $0.removeToken(digest) } }

    private func fail(_ publications: [EventLoopPromise<Void>]) {
        for promise in publications { promise.fail(ClusterUnavailable(reason: "Redis did not take a token's home")) }
    }

    private func change(_ body: (inout RoutingCore) -> Void) {
        core.withLock { body(&$0) }
        loop.execute { self.pump() }
    }
}

// MARK: - Lookups: because of a notification, because something changed here, or because it is time

extension ClusterRouting {
    /// A notification was heard. Any client of Redis may have sent it: this costs a lookup and nothing else.
    private func heard(_ notification: ClusterNotification) {
        core.withLock { $0.heard(notification) }
        pump()
    }

    /// Begins one lookup. It is over when Redis has answered or 2 s have passed.
    private func begin(_ lookup: LookupQueue.Lookup) {
        switch lookup {
        case .receivers(let names):
            end(lookup, requests.routes(of: names, at: ClusterKeys.receivingPrefix).map { self.report($0, names) })
        case .homes(let names):
            end(lookup, requests.routes(of: names, at: ClusterKeys.waitingPrefix).map { self.notify($0, names) })
        case .users(let names): end(lookup, users.refresh(names))
        case .nodes: end(lookup, requests.nodes().map { self.take($0) })
        case .tickets:
            end(lookup, tickets.refresh(rotated: { self.doorbell.notifyAll(.tickets) }))
        }
    }

    private func end(_ lookup: LookupQueue.Lookup, _ future: EventLoopFuture<Void>) {
        future.whenComplete { result in
            let isDone = if case .success = result { true } else { false }
            self.core.withLock { $0.ended(lookup, isDone: isDone) }
            self.loop.execute { self.pump() }
        }
    }

    private func ignore(_ count: Int) {
        if count > 0 { core.withLock { $0.ignore(count) } }
    }

    private func report(_ read: RoutingReplies.Lookup, _ names: [PeerName]) {
        var read = read
        let receivers = read.receivers(own: instance.node)
        ignore(read.ignored)
        for name in names {
            guard let sessions = receivers[name], core.withLock({ $0.isWaiting(for: name) }) else { continue }
            delegate?.receiversAppeared(name, sessions)
        }
    }

    private func notify(_ read: RoutingReplies.Lookup, _ names: [PeerName]) {
        var read = read
        let homes = read.homes(own: instance.node)
        ignore(read.ignored)
        for name in names { for home in homes[name] ?? [] { doorbell.notify(home, .receiving(name)) } }
    }

    private func take(_ read: RoutingReplies.Nodes) {
        let isSettled = epoch.isSettled(read.epoch, now: .now())
        let reading = core.withLock { $0.take(read, isSettled: isSettled) }
        if reading.isSettled { epoch.othersCame() }
        doorbell.know(reading.nodes)
        for notification in reading.notifications { doorbell.notifyAll(notification) }
        for one in reading.gone {
            logger.notice("a node is gone", metadata: [LogKeys.node: "\(one.node)"])
            delegate?.nodeGone(one.node, incarnation: one.incarnation)
        }
    }
}

// MARK: - What the rest of the node asks: answers are hints, since only the node that is asked over a link knows

extension ClusterRouting: NodeAddressBook {
    /// The sessions of `name` on other nodes that are alive; fails with ``ClusterUnavailable`` within 2 s. A node that
    /// has no place among them now does not ask: they could not find what it has for them.
    func receivers(of name: PeerName) -> EventLoopFuture<[SessionID]> {
        guard core.withLock({ $0.isHeld }) else {
            return loop.makeFailedFuture(ClusterUnavailable(reason: "this node has no place in Redis now"))
        }
        return requests.routes(of: [name], at: ClusterKeys.receivingPrefix).map { read in
            var read = read
            let receivers = read.receivers(own: self.instance.node)
            self.ignore(read.ignored)
            return receivers[name] ?? []
        }
    }

    /// The other nodes that are alive and have sessions of `name` that share; fails with ``ClusterUnavailable`` within
    /// 2 s, as ``receivers(of:)`` does.
    func sharers(of name: PeerName) -> EventLoopFuture<[NodeID]> {
        guard core.withLock({ $0.isHeld }) else {
            return loop.makeFailedFuture(ClusterUnavailable(reason: "this node has no place in Redis now"))
        }
        return requests.sharers(of: name).map { read in
            var read = read
            let nodes = read.homes(own: self.instance.node)
            self.ignore(read.ignored)
            return nodes[name] ?? []
        }
    }

    /// The node to ask about a token, alive as far as Redis knows; nil when the token is unknown.
    ///
    /// In a Redis that was just emptied, or has just refused something, an absent token says nothing: it is looked up
    /// again while nodes write their keys, for at most 2 s, and then this fails with ``ClusterUnavailable``.
    func home(of digest: TokenDigest) -> EventLoopFuture<NodeID?> {
        home(of: digest, until: .now() + Defaults.Routing.deadline)
    }

    private func home(of digest: TokenDigest, until deadline: NIODeadline) -> EventLoopFuture<NodeID?> {
        requests.home(of: digest).flatMap { home in
            self.ignore(home.isNonsense ? 1 : 0)
            let now = NIODeadline.now()
            let isSettled = self.epoch.isSettled(home.epoch, now: now) && !self.store.hasRefusedLately(now: now)
            if home.node != nil || isSettled { return self.loop.makeSucceededFuture(home.node) }
            if home.epoch != self.epoch.known {
                self.core.withLock { $0.checkEpoch() }
                self.pump()
            }
            guard now + Defaults.Routing.secondLookup < deadline else {
                return self.loop.makeFailedFuture(ClusterUnavailable.settling)
            }
            return self.loop.flatScheduleTask(in: Defaults.Routing.secondLookup) {
                self.home(of: digest, until: deadline)
            }.futureResult
        }
    }

    /// The other nodes that are alive as far as Redis knows now; none when it does not say.
    func others() async -> [NodeID: NodePresence] {
        let read = try? await requests.nodes().get()
        return (read?.nodes ?? [:]).filter { $0.key != instance.node }
    }

    /// The other nodes that are alive as far as Redis knows: now or, when it does not say, when they were read last.
    func named() async -> (nodes: Set<NodeID>, isCurrent: Bool) {
        guard let read = try? await requests.nodes().get() else {
            return (Set(core.withLock { $0.others }.keys), false)
        }
        return (Set(read.nodes.keys).subtracting([instance.node]), true)
    }

    func address(of node: NodeID) -> EventLoopFuture<NodeAddress?> {
        presence(of: node).map { $0.map(NodeAddress.init) }
    }

    /// What `node` says about itself: as Redis has it now or, when Redis does not say, as it had it last.
    private func presence(of node: NodeID) -> EventLoopFuture<NodePresence?> {
        requests.address(of: node).map { read in
            if let presence = read.presence { return presence }
            return self.epoch.isSettled(read.epoch, now: .now()) ? nil : self.lastPresence(of: node)
        }.recover { _ in self.lastPresence(of: node) }
    }

    private func lastPresence(of node: NodeID) -> NodePresence? { core.withLock { $0.others[node] } }
}
