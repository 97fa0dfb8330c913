// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import ServerSystem
package import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// The one ``Broker`` of the process, for all threads.
///
/// **Order.** Events come from every event loop, and what they lead to has to reach each session in the order in which
/// the broker decided it: `ring` before the `failed` that takes it back. So what is to be done is appended to one
/// outbox under the lock, and is run outside it by one thread at a time: a thread that finds no other at it becomes the
/// deliverer, and goes on until the outbox is empty. Others only append. A delivery is a hand-over to another loop's
/// queue, so the deliverer is held up for microseconds; encoding is done by the session's own loop. An event that a
/// delivery causes on the same thread is appended as well, and cannot dead-lock.
package final class BrokerService: TransferDirectory {
    private struct State: Sendable {
        var broker: Broker
        let streams: (any StreamControl)?
        /// The connections of this node, logged in or not.
        var sinks: [SessionID: any SessionSink] = [:]
        /// Where the clients of connections are, as far as that is known.
        var addresses: [SessionID: String] = [:]
        var lastSession: UInt64 = 0
        var outbox: [BrokerAction] = []
        var isDelivering = false
        var idleCallbacks: [@Sendable () -> Void] = []

        /// Whether the caller has to deliver.
        mutating func takesDelivery() -> Bool {
            guard !isDelivering, !outbox.isEmpty || isIdleForCallbacks else { return false }
            isDelivering = true
            return true
        }

        /// Everything there is to deliver; when there is nothing, the caller's delivery is over.
        mutating func nextBatch() -> Batch {
            var batch = Batch(actions: outbox.map { ($0, $0.session.flatMap { sinks[$0] }) }, streams: streams)
            if isIdleForCallbacks { swap(&batch.callbacks, &idleCallbacks) }
            outbox = []
            isDelivering = !batch.isEmpty
            return batch
        }

        private var isIdleForCallbacks: Bool {
            !idleCallbacks.isEmpty && broker.activeTransfers == 0 && streams?.count ?? 0 == 0 && !broker.isMoving
        }
    }

    /// What one thread delivers in one go, with whatever is needed for it.
    private struct Batch: Sendable {
        /// The sink is that of the session which the action is for, if it is still there.
        let actions: [(BrokerAction, (any SessionSink)?)]
        let streams: (any StreamControl)?
        var callbacks: [@Sendable () -> Void] = []

        var isEmpty: Bool { actions.isEmpty && callbacks.isEmpty }
    }

    private let state: Mutex<State>
    /// The other nodes.
    package let cluster: any Cluster
    /// This node.
    package let node: NodeID
    private let claims = PendingClaims()
    private let clock: @Sendable () -> NIODeadline
    private let reports: LimitReports
    private let logger: Logger

    /// - Parameters:
    ///   - node: this node's name, which its sessions' ids begin with.
    ///   - cluster: the other nodes.
    ///   - streams: whom to ask to cut streams; nil where nothing streams.
    ///   - reports: who is told of limits that are met.
    ///   - clock: the time; another one in tests.
    package init(
        node: NodeID, cluster: any Cluster, limits: BrokerLimits, streams: (any StreamControl)?,
        reports: LimitReports, logger: Logger,
        clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.node = node
        self.cluster = cluster
        self.reports = reports
        self.logger = logger
        self.clock = clock
        self.state = Mutex(State(broker: Broker(node: node, limits: limits), streams: streams))
    }

    /// Looks at the deadlines every ``Defaults/Broker/sweepInterval`` from now on, on `loop`; until the task is
    /// cancelled, or the loop or this object is gone.
    @discardableResult
    package func startSweeping(on loop: any EventLoop) -> RepeatedTask {
        let interval = Defaults.Broker.sweepInterval
        return loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            self?.handle(.timerFired)
        }
    }

    /// A control connection has been made; no user has logged in on it yet. Returns the session's id.
    ///
    /// - Parameter address: where the client is, for operators.
    func connected(_ sink: any SessionSink, from address: String = "") -> SessionID {
        state.withLock { state in
            state.lastSession += 1
            let session = SessionID(node: node, number: state.lastSession)
            state.sinks[session] = sink
            if !address.isEmpty { state.addresses[session] = address }
            return session
        }
    }

    /// Something happened: decides what is to be done, and does it unless another thread is at it.
    package func handle(_ event: BrokerEvent) {
        let now = clock()
        let isMine = state.withLock { state in
            state.outbox += state.broker.handle(event, now: now)
            if case .sessionClosed(let session) = event {
                state.sinks[session] = nil
                state.addresses[session] = nil
            }
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    // MARK: - TransferDirectory

    package func claim(_ token: Token, as role: TransferRole, on loop: any EventLoop) -> EventLoopFuture<StreamClaim?> {
        let digest = TokenDigest(token)
        if let claim = claim(digest, as: role, by: node) { return loop.makeSucceededFuture(claim) }
        let (cluster, claims, node) = (cluster, claims, node)
        return cluster.home(of: digest, on: loop).flatMap { home in
            guard let home, home != node else { return loop.makeSucceededFuture(nil) }
            return claims.ask(home, on: loop) { id in
                cluster.send(.claim(id: id, digest: digest, role: role), to: home)
            }
        }
    }

    /// Uses the token of `digest` up for the half `role` on the node `asker`, if this node is its home. Of any number
    /// of callers with one token, one gets the transfer.
    package func claim(_ digest: TokenDigest, as role: TransferRole, by asker: NodeID) -> StreamClaim? {
        claim(digest, as: role, by: asker) { _ in [] }
    }

    /// Uses a token up as ``claim(_:as:by:)`` does, and queues what `follow` makes of the answer.
    private func claim(
        _ digest: TokenDigest, as role: TransferRole, by asker: NodeID, then follow: (StreamClaim?) -> [BrokerAction]
    ) -> StreamClaim? {
        let now = clock()
        let (claim, isMine) = state.withLock { state in
            let claim = state.broker.claim(digest, as: role, by: asker, now: now)
            // No node needs to find a token that has been used.
            state.outbox += follow(claim) + (claim == nil ? [] : [.announce(.void(digest))])
            return (claim, state.takesDelivery())
        }
        if isMine { deliver() }
        return claim
    }

    package func streamChanged(_ stream: StreamKey, _ event: StreamEvent) {
        let url = event == .downloadParked ? cluster.publicURL : nil
        log(event, of: stream)
        guard stream.home == node else {
            return cluster.send(.stream(transfer: stream.transfer, event, url: url), to: stream.home)
        }
        handle(.streamChanged(stream.transfer, event, on: node, publicURL: url))
    }

    // MARK: - Other nodes

    /// `sender` said something; called in the order in which it was said.
    package func received(_ message: NodeMessage, from sender: NodeID) {
        switch message {
        case .claim(let id, let digest, let role): answer(id, digest, role, to: sender)
        case .claimed(let id, let transfer, let download, let users):
            claims.answered(id, by: sender, transfer: transfer, download: download, users: users)
        case .notice, .release, .request, .left, .ask, .withdrawn, .stream, .abort:
            handle(.messageReceived(message, from: sender))
        }
    }

    /// Everything shared with the process that was `node` is over.
    package func lost(_ node: NodeID) {
        claims.lost(node)
        handle(.nodeLost(node))
    }

    /// Answers another node's claim, behind everything that it has been told and before whatever follows from it.
    private func answer(_ id: UInt64, _ digest: TokenDigest, _ role: TransferRole, to asker: NodeID) {
        _ = claim(digest, as: role, by: asker) { claim in
            let users = claim?.owners.map(\.name) ?? []
            return [
                .tell(
                    asker,
                    .claimed(id: id, transfer: claim?.stream.transfer, download: claim?.download, users: users))
            ]
        }
    }

    // MARK: - Operations

    /// What there is at the moment.
    package var status: BrokerStatus { state.withLock { $0.broker.status } }

    /// Transfers that a receiver has accepted and that are not over.
    package var activeTransfers: Int { state.withLock { $0.broker.activeTransfers } }

    /// Control connections, logged in or not.
    package var connections: Int { state.withLock { $0.sinks.count } }

    /// Refuses new offers and accepts from now on. What has been accepted goes on.
    package func beginDrain() { handle(.drainBegun) }

    /// Tells every session, each at another moment, to go to another node, or to the process that follows this one on
    /// its listeners, where the client opens a new session before it closes this one. To be called before
    /// ``beginDrain()``, which closes idle sessions at once otherwise.
    ///
    /// - Parameters:
    ///   - toSuccessor: whether it is the process that follows: names that have gone there still count as there.
    ///   - deadline: how long they have: those that are left then are closed, once nothing of them goes on.
    package func moveSessions(toSuccessor: Bool = false, deadline: TimeAmount = Defaults.Control.moveTime) {
        handle(.moveBegun(within: deadline, toSuccessor: toSuccessor))
    }

    /// The names that are there to be rung, on this node or on their way to it.
    package var namesThere: Set<PeerName> { state.withLock { $0.broker.namesThere } }

    /// Sessions of `names` come from the process whose place this one takes, in `time`: until then the names count as
    /// there.
    package func expect(_ names: [PeerName], within time: TimeAmount) { handle(.namesExpected(names, within: time)) }

    /// Whether no connection is awaited that only this process could join to a transfer.
    package var isQuiet: Bool { state.withLock { $0.broker.isQuiet } }

    /// Refuses new offers and accepts from now on, or no longer; no session is closed for it.
    package func hold(_ isHeld: Bool) { state.withLock { $0.broker.hold(isHeld) } }

    /// Refuses new offers and accepts from now on if no connection is awaited at this moment; returns whether that is
    /// so.
    package func holdIfQuiet() -> Bool {
        state.withLock { state in
            guard state.broker.isQuiet else { return false }
            state.broker.hold(true)
            return true
        }
    }

    /// Refuses new offers for as long as `pressure` is on. What has been offered goes on.
    package func memoryChanged(_ pressure: MemoryPressure) { handle(.memoryChanged(isShort: pressure > .none)) }

    /// Calls `callback` once, as soon as no accepted transfer and no stream is left, and no session that has been told
    /// to go and still has time to; at once when there is none. From any thread.
    package func whenIdle(_ callback: @escaping @Sendable () -> Void) {
        let isMine = state.withLock { state in
            state.idleCallbacks.append(callback)
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// The last stream here has ended: a graceful stop may have waited for it.
    package func streamsEmptied() {
        let isMine = state.withLock { state in
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes every control connection, logged in or not.
    package func closeAllSessions(_ code: WebSocketCloseCode = .goingAway) {
        let isMine = state.withLock { state in
            state.outbox += state.sinks.keys.map { .close($0, code) }
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes the sessions of a name that was removed from the users' registry.
    package func nameRemoved(_ name: PeerName) { handle(.nameRemoved(name)) }

    /// Closes the sessions of a name that belongs to `key` now, unless they are that key's.
    package func nameOwned(_ name: PeerName, by key: SigningKey) { handle(.nameRemoved(name, except: key)) }

    // MARK: - What operators see and do

    /// What there is, for lists of it. Copies, so that no client waits for an operator's list.
    private var copies: (broker: Broker, addresses: [SessionID: String]) {
        state.withLock { ($0.broker, $0.addresses) }
    }

    /// A page of the sessions that are logged in here, behind the one with that number.
    package func sessions(after number: UInt64, atMost count: Int) -> [SessionEntry] {
        let (broker, addresses) = copies
        return broker.sessions(after: number, atMost: count, now: clock()).map { entry in
            var entry = entry
            entry.address = addresses[SessionID(node: node, number: entry.number)]
            return entry
        }
    }

    /// A page of the transfers whose home this node is.
    package func transfers(after transfer: TransferID?, atMost count: Int) -> [TransferEntry] {
        copies.broker.transfers(after: transfer, atMost: count, now: clock())
    }

    /// At most `limit` of the transfers, and of the sessions, that there are: those that move first.
    package func foremost(limit: Int) -> (transfers: [TransferEntry], sessions: [SessionEntry]) {
        let (broker, now) = (copies.broker, clock())
        return (
            broker.foremostTransfers(limit: limit, now: now), broker.busiestSessions(limit: limit, now: now)
        )
    }

    /// How many sessions of `name` are here.
    package func sessionCount(of name: PeerName) -> Int { state.withLock { $0.broker.sessionCount(of: name) } }

    /// Ends the session that the log calls `label`, and tells it why. False when no such one is here.
    package func closeSession(_ label: String) -> Bool {
        guard let session = SessionID(label: label), session.node == node else { return false }
        guard state.withLock({ $0.broker.isOpen(session) }) else { return false }
        handle(.sessionEnded(session))
        return true
    }

    /// Ends a transfer whose home this node is. False when there is no such one.
    package func stopTransfer(_ transfer: TransferID) -> Bool {
        guard state.withLock({ $0.broker.isHome(of: transfer) }) else { return false }
        handle(.transferStopped(transfer))
        return true
    }

    /// Closes the sessions of a user whom an operator has disabled.
    package func nameDisabled(_ name: PeerName) { handle(.nameDisabled(name)) }

    /// The names with sessions here.
    package var names: [PeerName] { state.withLock { $0.broker.names } }

    private func deliver() {
        while true {
            let batch = state.withLock { $0.nextBatch() }
            if batch.isEmpty { return }
            for (action, sink) in batch.actions { run(action, sink, batch.streams) }
            for callback in batch.callbacks { callback() }
        }
    }

    private func run(_ action: BrokerAction, _ sink: (any SessionSink)?, _ streams: (any StreamControl)?) {
        switch action {
        case .send(let session, let message):
            log(message, to: session)
            sink?.send(message)
        case .close(_, let code): sink?.close(code)
        case .tell(let node, let message): cluster.send(message, to: node)
        case .announce(let announcement): cluster.announce(announcement)
        case .mint(let request): mint(request)
        case .endStream(let stream, let outcome): streams?.end(stream, outcome)
        case .abortStreams(let home, let code): streams?.abortAll(of: home, code: code)
        case .transferEnded(let transfer, let outcome):
            let word =
                switch outcome {
                case .delivered: "delivered"
                case .failed(let code): code.rawValue
                }
            logger.info("transfer ended", metadata: [LogKeys.transfer: "\(transfer)", LogKeys.outcome: "\(word)"])
        case .limitMet(let limit, let owner): reports.met(limit, name: owner.name, address: owner.address)
        }
    }

    /// What goes on in a stream here is of use to who looks for the reason of a fault, on any node.
    private func log(_ event: StreamEvent, of stream: StreamKey) {
        guard logger.logLevel <= .debug else { return }
        var details: Logger.Metadata = [LogKeys.transfer: "\(stream.transfer)"]
        switch event {
        case .downloadParked: details[LogKeys.event] = "parked"
        case .joined: details[LogKeys.event] = "joined"
        case .finished(let bytes):
            details[LogKeys.event] = "finished"
            details[LogKeys.bytes] = "\(bytes)"
        case .cut(let code, let bytes):
            details[LogKeys.event] = "cut"
            details[LogKeys.code] = "\(code.rawValue)"
            details[LogKeys.bytes] = "\(bytes)"
        }
        logger.debug("stream", metadata: details)
    }

    private func log(_ message: ServerMessage, to session: SessionID) {
        guard logger.logLevel <= .debug, let transfer = message.transfer else { return }
        // Up to four a second of each transfer.
        if case .progress = message { return }
        logger.debug(
            "session is told",
            metadata: [
                LogKeys.transfer: "\(transfer)", LogKeys.session: "\(session)",
                LogKeys.event: "\(message.kind.rawValue)",
            ])
    }

    /// Makes a token. One that the other nodes cannot be told of is good all the same: on this node.
    private func mint(_ request: TokenRequest) {
        let token = Token.random()
        guard let published = cluster.publish(TokenDigest(token)) else {
            return handle(.tokenMinted(token, for: request))
        }
        published.whenComplete { result in
            let isAnnounced = if case .success = result { true } else { false }
            self.handle(.tokenMinted(token, for: request, isAnnounced: isAnnounced))
        }
    }
}

extension BrokerAction {
    /// The session of this node that it is for, if it is for one.
    fileprivate var session: SessionID? {
        switch self {
        case .send(let session, _), .close(let session, _): session
        case .tell, .announce, .mint, .endStream, .abortStreams, .transferEnded, .limitMet: nil
        }
    }
}

/// Where messages to one control connection of this node go. Safe to call from any thread.
protocol SessionSink: Sendable {
    /// Sends `message`, after everything that was handed over before; nothing happens when the connection is gone.
    func send(_ message: ServerMessage)

    /// Closes the connection, after everything that was handed over before.
    func close(_ code: WebSocketCloseCode)
}
