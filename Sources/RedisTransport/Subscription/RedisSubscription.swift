// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore

/// One connection to Redis that listens on a channel, made anew and subscribed anew whenever it ends. For any thread.
///
/// Messages may be lost (Redis delivers at most once), and anybody who can reach Redis can send them. It proves every
/// few seconds that it is alive, by a message to its own channel that a `RedisClient` publishes.
package final class RedisSubscription: Sendable {
    /// What the owner is told, on the event loop of the client.
    package struct Events: Sendable {
        /// `connected` once Redis has confirmed the subscription: not before that may a node announce itself.
        package let changed: @Sendable (RedisLinkState) -> Void
        /// Somebody published something.
        package let received: @Sendable (RedisMessage) -> Void
        /// A message was larger than 64 KiB and was dropped.
        package let dropped: @Sendable () -> Void

        /// What to call.
        package init(
            changed: @escaping @Sendable (RedisLinkState) -> Void,
            received: @escaping @Sendable (RedisMessage) -> Void,
            dropped: @escaping @Sendable () -> Void = {}
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
