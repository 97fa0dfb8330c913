// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import TransferClient
import WSProtocol
import WebSocketTransport

/// An open control connection. Safe to use from any task; the messages have one reader at a time.
final class ControlConnection: Sendable {
    let relay: RelayURL
    /// What the relay says, in order. Ends by throwing a ``ConnectionError``.
    let messages: ControlMessageHandler.Messages
    private let queue: ControlMessageHandler.Messages.Continuation
    private let channel: any Channel
    /// When the relay should have said `welcome`.
    private let loginDeadline: NIODeadline
    private let lastRequest = NIOLockedValueBox(UInt64(0))

    private init(
        relay: RelayURL, channel: any Channel, messages: ControlMessageHandler.Messages,
        queue: ControlMessageHandler.Messages.Continuation, loginDeadline: NIODeadline
    ) {
        self.relay = relay
        self.channel = channel
        self.messages = messages
        self.queue = queue
        self.loginDeadline = loginDeadline
    }

    /// Connects and upgrades. The relay's challenge is the first of the messages.
    static func upgrade(_ relay: RelayURL, dialer: Dialer) async throws(ConnectionError) -> ControlConnection {
        let target = relay.controlTarget
        let (messages, queue) = ControlMessageHandler.Messages.makeStream(
            bufferingPolicy: .bufferingOldest(Defaults.mostUnreadMessages)
        )
        let channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.controlUserTimeout) { _ in }
        let deadline = NIODeadline.now() + Defaults.loginTimeout
        let overdue = ConnectionError(upgradeUnanswered: relay)
        do {
            let answer = try await channel.eventLoop.submit {
                try Self.startUpgrade(target, relay: relay, channel: channel, queue: queue)
            }.flatMap { $0 }.bounded(by: deadline, or: overdue).get()
            if case .refused(let answer) = answer {
                let answer = try await answer.bounded(by: deadline, or: overdue).get()
                throw ConnectionError(upgradeRefused: answer, relay: relay)
            }
        } catch let error as ConnectionError {
            channel.close(promise: nil)
            throw error
        } catch {
            channel.close(promise: nil)
            throw ConnectionError(upgrading: error, relay: relay)
        }
        dialer.observer(.webSocket, target.target)
        return ControlConnection(
            relay: relay, channel: channel, messages: messages, queue: queue, loginDeadline: deadline
        )
    }

    /// Sends a message of the login.
    ///
    /// - Throws: ``ConnectionError`` when the connection is closed, or takes nothing for as long as a login may last.
    func send(_ message: ClientMessage) async throws(ConnectionError) {
        do {
            let overdue = ConnectionError(loginUnanswered: relay)
            try await channel.writeAndFlush(try MessageCodec.encode(message)).bounded(by: loginDeadline, or: overdue)
                .get()
        } catch let error as ConnectionError {
            throw error
        } catch {
            throw ConnectionError(closed: nil, reason: .lost, relay: relay).duringLogin
        }
    }

    /// Sends a message without waiting for it to leave. That the connection is gone is told by the end of ``messages``;
    /// a relay that reads nothing ends it, before much waits.
    func post(_ message: ClientMessage) {
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
        channel.triggerUserOutboundEvent(
            WebSocketCommand.close(code: WebSocketCloseCode.normal.rawValue), promise: nil
        )
        let deadline = NIODeadline.now() + Defaults.closeTimeout
        let overdue = ChannelError.connectTimeout(Defaults.closeTimeout)
        do {
            try await channel.closeFuture.bounded(by: deadline, or: overdue).get()
        } catch {
            abort()
        }
    }

    /// Closes without a word.
    func abort() { channel.close(promise: nil) }

    /// The next message, if it comes before the time that a login has is over.
    ///
    /// - Returns: nil when the connection ended without a reason.
    /// - Throws: ``ConnectionError``.
    func nextOfLogin() async throws -> ServerMessage? {
        // The end of the queue ends the wait, whatever becomes of the channel.
        let (queue, overdue) = (queue, ConnectionError(loginUnanswered: relay))
        let timer = channel.eventLoop.scheduleTask(deadline: loginDeadline) { queue.finish(throwing: overdue) }
        defer { timer.cancel() }
        for try await message in messages { return message }
        return nil
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
                    do {
                        try channel.pipeline.syncOperations.addHandler(HTTPAnswerHandler(promise: promise))
                    } catch {
                        promise.fail(error)
                    }
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
