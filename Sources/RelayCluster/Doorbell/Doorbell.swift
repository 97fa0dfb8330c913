// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import Synchronization
import TransferBroker
import WSProtocol

/// Notifies other nodes over Redis' pub/sub, and hears what they notify this one of. For any thread.
final class Doorbell: Sendable {
    /// What is told, on the event loop of the store.
    struct Events: Sendable {
        /// A notification has come. Any client of Redis may have sent it.
        var heard: @Sendable (ClusterNotification) -> Void
        /// From now on messages come; those before were lost.
        var listening: @Sendable () -> Void
        /// No messages come; it is being tried again.
        var failed: @Sendable (any Error) -> Void
    }

    /// Figures for `status` and metrics.
    struct Status: Hashable, Sendable {
        /// Whether messages come.
        var isListening = false
        /// Notifications that wait for an answer.
        var waiting = 0
        /// Notifications that were not answered, or that could not be sent.
        var lost = 0
        /// Messages that are none, or were too large.
        var ignored = 0
    }

    private struct State {
        var machine: DoorbellMachine
        var isListening = false
        var ignored = 0
        var subscription: RedisSubscription?
        var sweep: RepeatedTask?
        /// The other nodes, as far as they are known.
        var nodes: Set<NodeID> = []
    }

    private let node: NodeID
    private let store: ClusterStore
    private let logger: Logger
    private let state: Mutex<State>

    init(node: NodeID, incarnation: Incarnation, store: ClusterStore, logger: Logger) {
        self.node = node
        self.store = store
        self.logger = logger
        state = Mutex(State(machine: DoorbellMachine(node: node, incarnation: incarnation)))
    }

    /// Begins to listen, and goes on until ``stop()``.
    func start(_ events: Events) {
        let subscription = RedisSubscription(
            client: store.client, channel: ClusterKeys.channel(node), settings: store.settings, log: logger,
            events: RedisSubscription.Events(
                changed: { [weak self] state in
                    switch state {
                    case .connected:
                        self?.state.withLock { $0.isListening = true }
                        events.listening()
                    case .disconnected(let error):
                        self?.state.withLock { $0.isListening = false }
                        events.failed(error)
                    }
                },
                received: { [weak self] in self?.received($0.payload, events) },
                dropped: { [weak self] in self?.state.withLock { $0.ignored += 1 } }
            )
        )
        let sweep = store.eventLoop.scheduleRepeatedTask(
            initialDelay: Defaults.Routing.notificationSweep, delay: Defaults.Routing.notificationSweep
        ) { [weak self] _ in
            guard let self else { return }
            self.run(self.state.withLock { $0.machine.tick(now: .now()) }, nil)
        }
        state.withLock { ($0.subscription, $0.sweep) = (subscription, sweep) }
        subscription.start()
    }

    /// Ends listening.
    func stop() async {
        let (subscription, sweep) = state.withLock { state in
            defer { (state.subscription, state.sweep) = (nil, nil) }
            return (state.subscription, state.sweep)
        }
        sweep?.cancel()
        try? await subscription?.stop().get()
    }

    var status: Status {
        state.withLock {
            Status(
                isListening: $0.isListening, waiting: $0.machine.waiting, lost: $0.machine.lost, ignored: $0.ignored
            )
        }
    }

    /// The other nodes of the cluster are these.
    func know(_ nodes: Set<NodeID>) { state.withLock { $0.nodes = nodes } }

    /// Notifies one node.
    func notify(_ other: NodeID, _ notification: ClusterNotification) {
        run(state.withLock { $0.machine.notify(other, notification, now: .now()) }, nil)
    }

    /// Notifies all other nodes that are known.
    func notifyAll(_ notification: ClusterNotification) {
        for other in state.withLock({ $0.nodes }) { notify(other, notification) }
    }

    private func received(_ payload: ByteBuffer, _ events: Events) {
        guard let message = DoorbellMessage(payload) else {
            state.withLock { $0.ignored += 1 }
            return
        }
        run(state.withLock { $0.machine.heard(message, now: .now()) }, events)
    }

    private func run(_ actions: [DoorbellMachine.Action], _ events: Events?) {
        for action in actions {
            switch action {
            case .publish(let message, let other):
                guard let text = message.text else { continue }
                let limit =
                    switch message {
                    case .notification: Defaults.Routing.notificationsInFlight
                    // Any client of Redis can ask for any number of these.
                    case .answer: Defaults.Routing.answersInFlight
                    }
                store.publish(text, on: ClusterKeys.channel(other), limit: limit)
            case .heard(let notification): events?.heard(notification)
            }
        }
    }
}
