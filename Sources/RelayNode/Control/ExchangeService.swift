// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import ServerSystem
package import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// The one ``Exchange`` of the process, for all threads.
///
/// **Order.** Events come from every event loop, and what they lead to has to reach each session in the order in which
/// the exchange decided it: `ring` before the `failed` that takes it back. So what is to be done is appended to one
/// outbox under the lock, and is run outside it by one thread at a time: whoever finds nobody at it becomes the
/// deliverer, and goes on until the outbox is empty. Others only append. A delivery is a hand-over to another loop's
/// queue, so the deliverer is held up for microseconds; encoding is done by the session's own loop. An event that a
/// delivery causes on the same thread is appended as well, and cannot dead-lock.
package final class ExchangeService: TransferDirectory {
    /// One thing to do, with whatever is needed to do it.
    private enum Delivery: Sendable {
        case send(any SessionSink, ServerMessage)
        case close(any SessionSink, WebSocketCloseCode)
        case tell(any Cluster, NodeID, NodeMessage)
        case announce(any Cluster, ExchangeAnnouncement)
        case end(any StreamControl, StreamKey, TransferOutcome)
        case abortAll(any StreamControl, NodeID, FailureCode)
        case log(TransferID, TransferOutcome)
        case report(Limit, Owner)
        case call(@Sendable () -> Void)
    }

    private struct State: Sendable {
        var exchange: Exchange
        var streams: (any StreamControl)?
        let cluster: any Cluster
        /// How often each node that events are being made for has been lost meanwhile: what was begun for a process that
        /// is gone must not reach the next one.
        var losses: [NodeID: (count: UInt64, events: Int)] = [:]
        /// The connections of this node, logged in or not.
        var sinks: [SessionID: any SessionSink] = [:]
        var lastSession: UInt64 = 0
        var outbox: [Delivery] = []
        var isDelivering = false
        var idleCallbacks: [@Sendable () -> Void] = []

        mutating func append(_ actions: [ExchangeAction]) {
            for action in actions {
                switch action {
                case .send(let session, let message): sinks[session].map { outbox.append(.send($0, message)) }
                case .close(let session, let code): sinks[session].map { outbox.append(.close($0, code)) }
                case .tell(let node, let message): outbox.append(.tell(cluster, node, message))
                case .announce(let announcement): outbox.append(.announce(cluster, announcement))
                case .endStream(let stream, let outcome): streams.map { outbox.append(.end($0, stream, outcome)) }
                case .abortStreams(let home, let code): streams.map { outbox.append(.abortAll($0, home, code)) }
                case .transferEnded(let transfer, let outcome): outbox.append(.log(transfer, outcome))
                case .limitMet(let limit, let owner): outbox.append(.report(limit, owner))
                }
            }
            if !idleCallbacks.isEmpty, exchange.activeTransfers == 0, streams?.count ?? 0 == 0 {
                outbox += idleCallbacks.map { .call($0) }
                idleCallbacks = []
            }
        }

        /// Whether the caller has to deliver.
        mutating func takesDelivery() -> Bool {
            guard !isDelivering, !outbox.isEmpty else { return false }
            isDelivering = true
            return true
        }

        /// Everything there is to deliver; when there is nothing, the caller's delivery is over.
        mutating func nextBatch() -> [Delivery] {
            defer { outbox = [] }
            isDelivering = !outbox.isEmpty
            return outbox
        }
    }

    private let state: Mutex<State>
    /// The other nodes.
    package let cluster: any Cluster
    private let node: NodeID
    let claims = ClaimDesk()
    private let clock: @Sendable () -> NIODeadline
    private let reports: LimitReports
    private let logger: Logger

    /// - Parameters:
    ///   - node: this node's name, which its sessions' ids begin with.
    ///   - cluster: the other nodes.
    ///   - streams: may also be given later, to ``attach(_:)``.
    ///   - reports: who is told of limits that are met.
    ///   - clock: the time; another one in tests.
    package init(
        node: NodeID = .alone, cluster: any Cluster = NoCluster(), limits: ExchangeLimits = Defaults.Exchange.limits,
        streams: (any StreamControl)? = nil, reports: LimitReports? = nil, logger: Logger,
        clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.node = node
        self.cluster = cluster
        self.reports = reports ?? LimitReports(logger: logger)
        self.logger = logger
        self.clock = clock
        self.state = Mutex(State(exchange: Exchange(node: node, limits: limits), streams: streams, cluster: cluster))
    }

    /// Whom to ask to cut streams from now on.
    func attach(_ streams: any StreamControl) {
        state.withLock { $0.streams = streams }
    }

    /// Looks at the deadlines every ``Defaults/Exchange/sweepInterval`` from now on, on `loop`; until the task is
    /// cancelled, or the loop or this object is gone.
    @discardableResult
    package func startSweeping(on loop: any EventLoop) -> RepeatedTask {
        let interval = Defaults.Exchange.sweepInterval
        return loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            self?.handle(.timerFired)
        }
    }

    /// A control connection has been made; nobody has logged in on it yet. Returns the session's id.
    package func connected(_ sink: any SessionSink) -> SessionID {
        state.withLock { state in
            state.lastSession += 1
            let session = SessionID(node: node, number: state.lastSession)
            state.sinks[session] = sink
            return session
        }
    }

    /// Something happened: decides what is to be done, and does it unless another thread is at it.
    package func handle(_ event: ExchangeEvent) { handle(event) { _ in true } }

    /// Handles the event if `stands` says so at the very moment at which it would be handled.
    private func handle(_ event: ExchangeEvent, if stands: (State) -> Bool) {
        let now = clock()
        let isMine = state.withLock { state in
            guard stands(state) else { return false }
            state.append(state.exchange.handle(event, now: now))
            if case .sessionClosed(let session) = event { state.sinks[session] = nil }
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Whether the transfer is decided here.
    func isHome(of transfer: TransferID) -> Bool { state.withLock { $0.exchange.transfers[transfer] != nil } }

    // MARK: - TransferDirectory

    package func claim(_ token: Token, as role: TransferRole, on loop: any EventLoop) -> EventLoopFuture<StreamClaim?> {
        let digest = TokenDigest(token)
        if let claim = claim(digest, as: role, by: node) { return loop.makeSucceededFuture(claim) }
        let (cluster, claims, node) = (cluster, claims, node)
        return loop.makeFutureWithTask { try await cluster.home(of: digest) }.flatMap { home in
            guard let home, home != node else { return loop.makeSucceededFuture(nil) }
            return claims.ask(home, on: loop) { id in
                cluster.send(.claim(id: id, digest: digest, role: role), to: home)
            }
        }
    }

    /// Uses the token of `digest` up for the half `role` on the node `asker`, if this node is its home. Of any number of
    /// callers with one token, one gets the transfer.
    package func claim(_ digest: TokenDigest, as role: TransferRole, by asker: NodeID) -> StreamClaim? {
        claim(digest, as: role, by: asker) { _ in [] }
    }

    /// The same, with what the answer leads to.
    private func claim(
        _ digest: TokenDigest, as role: TransferRole, by asker: NodeID, then follow: (StreamClaim?) -> [ExchangeAction]
    ) -> StreamClaim? {
        let now = clock()
        let (claim, isMine) = state.withLock { state in
            let claim = state.exchange.claim(digest, as: role, by: asker, now: now)
            // Nobody needs to find a token that has been used.
            state.append(follow(claim) + (claim == nil ? [] : [.announce(.void(digest))]))
            return (claim, state.takesDelivery())
        }
        if isMine { deliver() }
        return claim
    }

    package func streamChanged(_ stream: StreamKey, _ event: StreamEvent) {
        let url = event == .downloadParked ? cluster.publicURL : nil
        guard stream.home == node else {
            return cluster.send(.stream(transfer: stream.transfer, event, url: url), to: stream.home)
        }
        guard event == .downloadParked else { return handle(.streamChanged(stream.transfer, event, on: node)) }
        downloadParked(stream.transfer, on: node, url: url)
    }

    /// The byte path of `holder`, whose own address for clients is `url`, holds the receiver's request of a transfer of
    /// this home.
    package func downloadParked(_ transfer: TransferID, on holder: NodeID, url: PublicURL?) {
        whileAlive(holder) { [cluster] in
            .downloadParked(transfer, on: holder, UploadGrant(token: await cluster.newToken(), publicURL: url))
        }
    }

    /// Handles an event that takes a moment to be made, unless `node` is lost before it is.
    func whileAlive(_ node: NodeID, _ event: @escaping @Sendable () async -> ExchangeEvent) {
        let count = state.withLock { state in
            state.losses[node, default: (0, 0)].events += 1
            return state.losses[node]?.count
        }
        Task {
            let event = await event()
            // The next process of that node may have a session of the same number by now.
            handle(event) { $0.losses[node]?.count == count }
            state.withLock { state in
                guard let losses = state.losses[node] else { return }
                state.losses[node] = losses.events > 1 ? (losses.count, losses.events - 1) : nil
            }
        }
    }

    /// What was begun for the process that was `node` is not to be finished.
    func noteLoss(of node: NodeID) { state.withLock { $0.losses[node]?.count += 1 } }

    /// Answers another node's claim, behind everything that it has been told and before whatever follows from it.
    package func answer(_ id: UInt64, _ digest: TokenDigest, _ role: TransferRole, to asker: NodeID) {
        _ = claim(digest, as: role, by: asker) { claim in
            [.tell(asker, .claimed(id: id, transfer: claim?.stream.transfer, download: claim?.download))]
        }
    }

    // MARK: - Operations

    /// What there is at the moment.
    package var status: ExchangeStatus { state.withLock { $0.exchange.status } }

    /// Transfers that somebody has accepted and that are not over.
    package var activeTransfers: Int { state.withLock { $0.exchange.activeTransfers } }

    /// Control connections, logged in or not.
    package var connections: Int { state.withLock { $0.sinks.count } }

    /// Refuses new offers and accepts from now on. What has been accepted goes on.
    package func beginDrain() { handle(.drainBegun) }

    /// Refuses new offers for as long as `pressure` is on. What has been offered goes on.
    package func memoryChanged(_ pressure: MemoryPressure) { handle(.memoryChanged(isShort: pressure > .none)) }

    /// Calls `callback` once, as soon as no accepted transfer and no stream is left; at once when there is none. From any
    /// thread.
    package func whenIdle(_ callback: @escaping @Sendable () -> Void) {
        let isMine = state.withLock { state in
            state.idleCallbacks.append(callback)
            state.append([])
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// The last stream here has ended: a graceful stop may have waited for it.
    package func streamsEmptied() {
        let isMine = state.withLock { state in
            state.append([])
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes every control connection, logged in or not.
    package func closeAllSessions(_ code: WebSocketCloseCode = .goingAway) {
        let isMine = state.withLock { state in
            state.append(state.sinks.keys.map { .close($0, code) })
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes the sessions of a name that was removed from the users' registry.
    package func nameRemoved(_ name: PeerName) { handle(.nameRemoved(name)) }

    /// Closes the sessions of a name that belongs to `key` now, unless they are that key's.
    package func nameOwned(_ name: PeerName, by key: SigningKey) { handle(.nameRemoved(name, except: key)) }

    /// The names with sessions here.
    package var names: [PeerName] {
        state.withLock { $0.exchange.names.filter { !$0.value.sessions.isEmpty }.map(\.key) }
    }

    private func deliver() {
        while true {
            let batch = state.withLock { $0.nextBatch() }
            if batch.isEmpty { return }
            for delivery in batch { run(delivery) }
        }
    }

    private func run(_ delivery: Delivery) {
        switch delivery {
        case .send(let sink, let message): sink.send(message)
        case .close(let sink, let code): sink.close(code)
        case .tell(let cluster, let node, let message): cluster.send(message, to: node)
        case .announce(let cluster, let announcement): cluster.announce(announcement)
        case .end(let streams, let stream, let outcome): streams.end(stream, outcome)
        case .abortAll(let streams, let home, let code): streams.abortAll(of: home, code: code)
        case .log(let transfer, let outcome):
            let word =
                switch outcome {
                case .delivered: "delivered"
                case .failed(let code): code.rawValue
                }
            logger.debug("transfer ended", metadata: [LogKeys.transfer: "\(transfer)", LogKeys.outcome: "\(word)"])
        case .report(let limit, let owner): reports.met(limit, name: owner.name, address: owner.address)
        case .call(let callback): callback()
        }
    }
}
