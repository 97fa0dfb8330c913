// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore

/// One connection to Redis that listens on a channel, made anew and subscribed anew whenever it ends. For any thread.
///
/// Messages may be lost (Redis delivers at most once), and any client of that Redis can send them. It proves every
/// few seconds that it is alive, by a message to its own channel that a `RedisClient` publishes.
package final class RedisSubscription: Sendable {
    /// What the owner is told, on the event loop of the client.
    package struct Events: Sendable {
        /// `connected` once Redis has confirmed the subscription: not before that may a node announce itself.
        package let changed: @Sendable (RedisConnectionState) -> Void
        /// A message was published on the channel.
        package let received: @Sendable (RedisMessage) -> Void
        /// A message was larger than 64 KiB and was dropped.
        package let dropped: @Sendable () -> Void

        /// What to call.
        package init(
            changed: @escaping @Sendable (RedisConnectionState) -> Void,
            received: @escaping @Sendable (RedisMessage) -> Void,
            dropped: @escaping @Sendable () -> Void
        ) {
            self.changed = changed
            self.received = received
            self.dropped = dropped
        }
    }

    private let client: RedisClient
    private let channel: String
    private let settings: RedisSettings
    private let log: Logger
    private let events: Events
    private let core: NIOLoopBoundBox<SubscriptionCore?>

    /// Makes a subscription; ``start()`` connects it.
    ///
    /// - Parameters:
    ///   - client: publishes the heartbeats; this lives on its event loop.
    ///   - channel: the node's own channel, which also gets the heartbeats.
    package init(client: RedisClient, channel: String, settings: RedisSettings, log: Logger, events: Events) {
        self.client = client
        self.channel = channel
        self.settings = settings
        self.log = log
        self.events = events
        core = .makeEmptyBox(valueType: SubscriptionCore.self, eventLoop: client.eventLoop)
    }

    /// Connects, and goes on trying until ``stop()``, which has to be called.
    package func start() {
        client.eventLoop.execute { [self] in
            guard core.value == nil else { return }
            core.value = SubscriptionCore(
                client: client, channel: channel, settings: settings, log: log, events: events)
        }
    }

    /// Ends the connection for good.
    package func stop() -> EventLoopFuture<Void> {
        let promise = client.eventLoop.makePromise(of: Void.self)
        client.eventLoop.execute { [self] in
            guard let core = core.value else { return promise.succeed() }
            core.stop(promise)
        }
        return promise.futureResult
    }
}

/// The part of a subscription that lives on its event loop.
final class SubscriptionCore {
    private let client: RedisClient
    private let channel: String
    private let log: Logger
    private let events: RedisSubscription.Events

    private var connection: RedisConnection?
    private var heartbeat: HeartbeatMachine
    /// Whether Sentinels say where the master is.
    private let isWatched: Bool
    private var timer: Scheduled<Void>?
    /// The connection that the login is done on.
    private var established: (generation: Int, version: RedisVersion)?

    init(
        client: RedisClient, channel: String, settings: RedisSettings, log: Logger, events: RedisSubscription.Events
    ) {
        self.client = client
        self.channel = channel
        self.log = log
        self.events = events
        heartbeat = HeartbeatMachine(timing: settings.heartbeat)
        isWatched = settings.url.master != nil
        connection = RedisConnection(
            settings: settings, eventLoop: client.eventLoop, log: log,
            makeHandler: { [weak self] in
                SubscriptionHandler(channels: [channel], timeout: settings.subscribeTimeout) { self?.occurred($0) }
            },
            changed: { [weak self] in self?.changed($0) })
        connection?.start()
    }

    func stop(_ promise: EventLoopPromise<Void>) {
        rest()
        guard let connection else { return promise.succeed() }
        connection.stop(promise)
        self.connection = nil
    }

    private func changed(_ change: RedisConnection.Change) {
        switch change {
        case .connected(let generation, let version): established = (generation, version)
        case .disconnected(let error):
            rest()
            events.changed(.disconnected(error))
        }
    }

    private func rest() {
        heartbeat.stopped()
        timer?.cancel()
        established = nil
    }

    private func occurred(_ event: SubscriptionHandler.Event) {
        switch event {
        case .subscribed:
            guard let established else { return }
            run(heartbeat.started(now: .now()))
            events.changed(.connected(generation: established.generation, version: established.version))
        case .message(let message):
            if message.channel == channel, let nonce = HeartbeatText.nonce(message.payload) {
                run(heartbeat.received(nonce, now: .now()))
            } else {
                events.received(message)
            }
        case .oversized:
            log.debug("a message from redis is too large and was dropped")
            events.dropped()
        }
    }

    /// Whether Redis can be elsewhere than it was.
    private var canMove: Bool { isWatched || established?.version.mode == .cluster }

    private func run(_ action: HeartbeatMachine.Action) {
        switch action {
        case .none: break
        case .wake(let time): wake(time)
        case .publish(let nonce, let time):
            // Where commands go, so must this listen: a server that was the master, or had the slot, may live on.
            if canMove, let server = client.server, let own = connection?.server, server != own {
                connection?.drop(RedisError(.unavailable, "commands go to \(server) by now"))
                return
            }
            wake(time)
            publish(nonce)
        case .dead: connection?.drop(RedisError(.silent, "a message to itself did not come back"))
        }
    }

    private func wake(_ time: NIODeadline) {
        timer?.cancel()
        timer = client.eventLoop.assumeIsolated().scheduleTask(deadline: time) {
            // The loop may be a moment early by its own clock; never by the machine's.
            self.run(self.heartbeat.timerFired(now: max(.now(), time), nonce: .random(in: .min ... .max)))
        }
    }

    private func publish(_ nonce: UInt64) {
        client.publish(HeartbeatText.text(nonce), on: channel).assumeIsolated().whenFailure { _ in
            self.run(self.heartbeat.publishFailed(nonce, now: .now()))
        }
    }
}

@available(*, unavailable)
extension SubscriptionCore: Sendable {}

/// A message published on a channel.
package struct RedisMessage: Hashable, Sendable {
    /// The channel it was published to.
    package let channel: String
    /// The bytes; untrusted, since any client of that Redis can publish.
    package let payload: ByteBuffer

    /// A message.
    package init(channel: String, payload: ByteBuffer) {
        self.channel = channel
        self.payload = payload
    }
}
