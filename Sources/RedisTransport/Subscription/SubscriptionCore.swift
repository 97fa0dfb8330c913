// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import NIOCore

/// The part of a subscription that lives on its event loop.
final class SubscriptionCore {
    private let client: RedisClient
    private let channel: String
    private let log: Logger
    private let events: RedisSubscription.Events

    private var link: RedisLink?
    private var heartbeat: HeartbeatMachine
    private var timer: Scheduled<Void>?
    /// The connection that the login is done on.
    private var connection: (generation: Int, version: RedisVersion)?

    init(
        client: RedisClient, channel: String, settings: RedisSettings, log: Logger, events: RedisSubscription.Events
    ) {
        self.client = client
        self.channel = channel
        self.log = log
        self.events = events
        heartbeat = HeartbeatMachine(times: settings.heartbeat)
        link = RedisLink(
            settings: settings, eventLoop: client.eventLoop, log: log,
            makeHandler: { [weak self] in
                SubscriptionHandler(channels: [channel], timeout: settings.subscribeTimeout) { self?.occurred($0) }
            },
            changed: { [weak self] in self?.changed($0) })
        link?.start()
    }

    func stop(_ promise: EventLoopPromise<Void>) {
        rest()
        guard let link else { return promise.succeed() }
        link.stop(promise)
        self.link = nil
    }

    private func changed(_ change: RedisLink.Change) {
        switch change {
        case .connected(let generation, let version): connection = (generation, version)
        case .disconnected(let error):
            rest()
            events.changed(.disconnected(error))
        }
    }

    private func rest() {
        heartbeat.stopped()
        timer?.cancel()
        connection = nil
    }

    private func occurred(_ event: SubscriptionHandler.Event) {
        switch event {
        case .subscribed:
            guard let connection else { return }
            run(heartbeat.started(now: .now()))
            events.changed(.connected(generation: connection.generation, version: connection.version))
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

    private func run(_ action: HeartbeatMachine.Action) {
        switch action {
        case .none: break
        case .wake(let time): wake(time)
        case .publish(let nonce, let time):
            wake(time)
            publish(nonce)
        case .dead: link?.drop(RedisError(.silent, "a message to itself did not come back"))
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
        client.send(RedisCommand("PUBLISH", channel, HeartbeatText.text(nonce))).assumeIsolated().whenFailure { _ in
            self.run(self.heartbeat.publishFailed(nonce, now: .now()))
        }
    }
}

@available(*, unavailable)
extension SubscriptionCore: Sendable {}
