// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import WSProtocol
import WebSocketTransport

/// An open control connection. Safe to use from any task; the messages have one reader at a time.
final class ControlConnection: Sendable {
    let relay: RelayURL
    /// What the relay says, in order. Ends by throwing a ``ConnectionError``.
    let messages: ControlMessageHandler.Messages
    private let channel: any Channel
    private let lastRequest = NIOLockedValueBox(UInt64(0))
    private let outbox = NIOLockedValueBox(Outbox())

    private init(relay: RelayURL, channel: any Channel, messages: ControlMessageHandler.Messages) {
        self.relay = relay
        self.channel = channel
        self.messages = messages
    }

    /// Connects and upgrades. The relay's challenge is the first of the messages.
    static func upgrade(_ relay: RelayURL, dialer: Dialer) async throws(ConnectionError) -> ControlConnection {
        let target = relay.controlTarget
        let (messages, queue) = ControlMessageHandler.Messages.makeStream(
            bufferingPolicy: .bufferingOldest(Defaults.mostUnreadMessages)
        )
        let channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.controlUserTimeout) { _ in }
        let answer: ControlUpgrade
        do {
            let overdue = channel.eventLoop.scheduleTask(in: Defaults.loginTimeout) { channel.close(promise: nil) }
            defer { overdue.cancel() }
            answer = try await channel.eventLoop.submit {
                try Self.startUpgrade(target, relay: relay, channel: channel, queue: queue)
            }.flatMap { $0 }.get()
            if case .refused(let answer) = answer {
                throw ConnectionError(upgradeRefused: try await answer.get(), relay: relay)
            }
        } catch let error as ConnectionError {
            channel.close(promise: nil)
            throw error
        } catch {
            channel.close(promise: nil)
            throw ConnectionError(upgrading: error, relay: relay)
        }
        dialer.observer(.webSocket, target.target)
        return ControlConnection(relay: relay, channel: channel, messages: messages)
    }

    /// Sends a message.
    ///
    /// - Throws: ``ConnectionError`` when the connection is closed.
    func send(_ message: ClientMessage) async throws(ConnectionError) {
        do {
            try await channel.writeAndFlush(try MessageCodec.encode(message)).get()
        } catch {
            throw ConnectionError(closed: nil, reason: .lost, relay: relay)
        }
    }

    /// Sends a message without waiting for it to leave; in its turn, as fast as the relay's limit allows. That the
    /// connection is gone is told by the end of ``messages``.
    func post(_ message: ClientMessage) {
        // The relay does not count these, and an old one is worth nothing.
        if case .progress = message { return write(message) }
        if outbox.withLockedValue({ outbox in outbox.add(message) }) { drain() }
    }

    /// Sends what may be sent, and comes back for the rest.
    private func drain() {
        while true {
            switch outbox.withLockedValue({ outbox in outbox.next(now: .now()) }) {
            case .send(let message): write(message)
            case .wait(let pause):
                _ = channel.eventLoop.scheduleTask(deadline: pause) { self.drain() }
                return
            case .nothing: return
            }
        }
    }

    private func write(_ message: ClientMessage) {
        guard let text = try? MessageCodec.encode(message) else { return }
        channel.writeAndFlush(text, promise: nil)
    }

    /// A request id that this connection has not used yet.
    func nextID() -> RequestID {
        .sequence(
            .client,
            lastRequest.withLockedValue { last in
                last += 1
                return last
            })
    }

    /// Says goodbye and waits until the connection is closed, for a second at most.
    func close() async {
        let channel = channel
        let overdue = channel.eventLoop.scheduleTask(in: Defaults.closeTimeout) { channel.close(promise: nil) }
        channel.triggerUserOutboundEvent(
            WebSocketCommand.close(code: WebSocketCloseCode.normal.rawValue), promise: nil
        )
        try? await channel.closeFuture.get()
        overdue.cancel()
    }

    /// Closes without a word.
    func abort() { channel.close(promise: nil) }

    /// Closes without a word after `delay`, unless the result is cancelled before.
    func closeLater(_ delay: TimeAmount) -> Scheduled<Void> {
        let channel = channel
        return channel.eventLoop.scheduleTask(in: delay) { channel.close(promise: nil) }
    }

    private static func startUpgrade(
        _ target: RequestTarget, relay: RelayURL, channel: any Channel,
        queue: ControlMessageHandler.Messages.Continuation
    ) throws -> EventLoopFuture<ControlUpgrade> {
        let pipeline = channel.pipeline.syncOperations
        let encoder = HTTPRequestEncoder()
        let decoder = HTTPCoding.decoder()
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: target.target, headers: HTTPCoding.headers(for: target)
        )
        let configuration = NIOTypedHTTPClientUpgradeConfiguration<ControlUpgrade>(
            upgradeRequestHead: head,
            upgraders: [ControlUpgrader { ControlMessageHandler(queue: queue, relay: relay) }],
            notUpgradingCompletionHandler: { channel in
                channel.eventLoop.makeCompletedFuture {
                    let promise = channel.eventLoop.makePromise(of: HTTPAnswer.self)
                    try channel.pipeline.syncOperations.addHandler(HTTPAnswerHandler(promise: promise))
                    return .refused(promise.futureResult)
                }
            }
        )
        let upgrade = NIOTypedHTTPClientUpgradeHandler(
            httpHandlers: [encoder, decoder], upgradeConfiguration: configuration
        )
        try pipeline.addHandlers([encoder, decoder, upgrade])
        return upgrade.upgradeResultFuture
    }
}
