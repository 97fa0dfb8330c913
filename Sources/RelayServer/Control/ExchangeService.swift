// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization
import WSProtocol

/// The one ``Exchange`` of the process, for all threads.
///
/// **Order.** Events come from every event loop, and what they lead to has to reach each session in the order in which
/// the exchange decided it: `ring` before the `failed` that takes it back. So what is to be done is appended to one
/// outbox under the lock, and is run outside it by one thread at a time: whoever finds nobody at it becomes the
/// deliverer, and goes on until the outbox is empty. Others only append. A delivery is a hand-over to another loop's
/// queue, so the deliverer is held up for microseconds; encoding is done by the session's own loop. An event that a
/// delivery causes on the same thread is appended as well, and cannot dead-lock.
final class ExchangeService: TransferDirectory {
    /// One thing to do, with whatever is needed to do it.
    private enum Delivery: Sendable {
        case send(any SessionSink, ServerMessage)
        case close(any SessionSink, WebSocketCloseCode)
        case abort(any StreamControl, TransferID, FailureCode)
        case log(TransferID, TransferOutcome)
        case call(@Sendable () -> Void)
    }

    private struct State: Sendable {
        var exchange: Exchange
        var streams: (any StreamControl)?
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
                case .abortStream(let transfer, let code):
                    streams.map { outbox.append(.abort($0, transfer, code)) }
                case .transferEnded(let transfer, let outcome): outbox.append(.log(transfer, outcome))
                }
            }
            if exchange.activeTransfers == 0, !idleCallbacks.isEmpty {
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
    private let node: NodeID
    private let clock: @Sendable () -> NIODeadline
    private let logger: Logger

    /// - Parameters:
    ///   - node: this node's name, which its sessions' ids begin with.
    ///   - streams: may also be given later, to ``attach(_:)``.
    ///   - clock: the time; another one in tests.
    init(
        node: NodeID = .alone, limits: ExchangeLimits = Defaults.Exchange.limits, streams: (any StreamControl)? = nil,
        logger: Logger, clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.node = node
        self.logger = logger
        self.clock = clock
        self.state = Mutex(State(exchange: Exchange(limits: limits), streams: streams))
    }

    /// Whom to ask to cut streams from now on.
    func attach(_ streams: any StreamControl) {
        state.withLock { $0.streams = streams }
    }

    /// Looks at the deadlines every ``Defaults/Exchange/sweepInterval`` from now on, on `loop`; until the task is
    /// cancelled, or the loop or this object is gone.
    @discardableResult
    func startSweeping(on loop: any EventLoop) -> RepeatedTask {
        let interval = Defaults.Exchange.sweepInterval
        return loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            self?.handle(.timerFired)
        }
    }

    /// A control connection has been made; nobody has logged in on it yet. Returns the session's id.
    func connected(_ sink: any SessionSink) -> SessionID {
        state.withLock { state in
            state.lastSession += 1
            let session = SessionID(node: node, number: state.lastSession)
            state.sinks[session] = sink
            return session
        }
    }

    /// Something happened: decides what is to be done, and does it unless another thread is at it.
    func handle(_ event: ExchangeEvent) {
        let now = clock()
        let isMine = state.withLock { state in
            state.append(state.exchange.handle(event, now: now))
            if case .sessionClosed(let session) = event { state.sinks[session] = nil }
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    // MARK: - TransferDirectory

    func claim(_ token: Token, as role: TransferRole, on loop: any EventLoop) -> EventLoopFuture<TransferID?> {
        loop.makeSucceededFuture(claim(token, as: role))
    }

    /// Uses `token` up for the half `role`, at once. Of any number of callers with one token, one gets the transfer.
    func claim(_ token: Token, as role: TransferRole) -> TransferID? {
        let now = clock()
        return state.withLock { $0.exchange.claim(token, as: role, now: now) }
    }

    func streamChanged(_ transfer: TransferID, _ event: StreamEvent) {
        handle(.streamChanged(transfer, event))
    }

    // MARK: - Operations

    /// What there is at the moment.
    var status: ExchangeStatus { state.withLock { $0.exchange.status } }

    /// Transfers that somebody has accepted and that are not over.
    var activeTransfers: Int { state.withLock { $0.exchange.activeTransfers } }

    /// Control connections, logged in or not.
    var connections: Int { state.withLock { $0.sinks.count } }

    /// Refuses new offers and accepts from now on. What has been accepted goes on.
    func beginDrain() { handle(.drainBegun) }

    /// Calls `callback` once, as soon as no accepted transfer is left; at once when there is none. From any thread.
    func whenIdle(_ callback: @escaping @Sendable () -> Void) {
        let isMine = state.withLock { state in
            state.idleCallbacks.append(callback)
            state.append([])
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes every control connection, logged in or not.
    func closeAllSessions(_ code: WebSocketCloseCode = .goingAway) {
        let isMine = state.withLock { state in
            state.append(state.sinks.keys.map { .close($0, code) })
            return state.takesDelivery()
        }
        if isMine { deliver() }
    }

    /// Closes the sessions of a name that was removed from the users' registry.
    func nameRemoved(_ name: PeerName) { handle(.nameRemoved(name)) }

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
        case .abort(let streams, let transfer, let code): streams.abort(transfer, code: code)
        case .log(let transfer, let outcome):
            let word =
                switch outcome {
                case .delivered: "delivered"
                case .failed(let code): code.rawValue
                }
            logger.debug("transfer ended", metadata: [LogKeys.transfer: "\(transfer)", LogKeys.outcome: "\(word)"])
        case .call(let callback): callback()
        }
    }
}
