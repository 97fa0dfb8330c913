// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import Synchronization
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
    private let unanswered: UnansweredMessages
    /// When the relay should have said `welcome`.
    private let loginDeadline: NIODeadline
    private let lastRequest = Mutex(UInt64(0))

    private init(
        relay: RelayURL, channel: any Channel, messages: ControlMessageHandler.Messages,
        queue: ControlMessageHandler.Messages.Continuation, unanswered: UnansweredMessages, loginDeadline: NIODeadline
    ) {
        self.unanswered = unanswered
        self.relay = relay
        self.channel = channel
        self.messages = messages
        self.queue = queue
        self.loginDeadline = loginDeadline
    }

    /// Connects and upgrades. The relay's challenge is the first of the messages.
    static func upgrade(_ relay: RelayURL, dialer: Dialer) async throws(ConnectionError) -> ControlConnection {
        let target = relay.controlTarget
        let unanswered = UnansweredMessages()
        let (messages, queue) = ControlMessageHandler.Messages.makeStream(
            bufferingPolicy: .bufferingOldest(Defaults.mostUnreadMessages)
        )
        let channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.controlUserTimeout) { _ in }
        let deadline = NIODeadline.now() + dialer.timing.login
        let overdue = ConnectionError(upgradeUnanswered: relay)
        do {
            let answer = try await channel.eventLoop.submit {
                try ControlUpgrade.start(on: channel, of: relay) {
                    ControlMessageHandler(queue: queue, unanswered: unanswered, relay: relay)
                }
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
            relay: relay, channel: channel, messages: messages, queue: queue, unanswered: unanswered,
            loginDeadline: deadline
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
        unanswered.said(message)
        channel.writeAndFlush(text, promise: nil)
    }

    /// A request id that this connection has not used yet.
    func nextID() -> RequestID {
        lastRequest.withLock { last in
            last += 1
            return .sequence(.client, last)
        }
    }

    /// Waits until what others have to hear of this client is with the relay, says goodbye, and waits until the
    /// connection is closed; for a second at most each.
    func close() async {
        let (answers, continuation) = AsyncStream<Void>.makeStream()
        unanswered.whenAnswered { continuation.finish() }
        let timer = channel.eventLoop.scheduleTask(in: Defaults.unansweredTimeout) { continuation.finish() }
        for await _ in answers {}
        timer.cancel()
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
}

/// How to prove who we are.
enum LoginMode: Sendable {
    /// The name is ours already.
    case login
    /// The name is to become ours.
    case register(InvitationCode?)
}

extension ControlConnection {
    /// Connects, upgrades and logs in.
    ///
    /// - Parameter prekey: what others seal their offers to; nil leaves the relay what it has.
    /// - Returns: a connection whose messages begin behind `welcome`.
    static func open(
        _ relay: RelayURL, dialer: Dialer, identity: Identity, prekey: PublishedPrekey? = nil, mode: LoginMode = .login
    ) async throws(ConnectionError) -> ControlConnection {
        let connection = try await upgrade(relay, dialer: dialer)
        do {
            let challenge = try await connection.challenge()
            let welcome = try await connection.logIn(identity, prekey, challenge: challenge, mode: mode)
            dialer.observer(.login, "as \(welcome.name)")
            return connection
        } catch {
            connection.abort()
            throw error
        }
    }

    private func challenge() async throws(ConnectionError) -> ServerMessage.Challenge {
        guard case .challenge(let challenge) = try await answer() else { throw unexpected() }
        return challenge
    }

    private func logIn(
        _ identity: Identity, _ prekey: PublishedPrekey?, challenge: ServerMessage.Challenge, mode: LoginMode
    ) async throws(ConnectionError) -> ServerMessage.Welcome {
        let id = nextID()
        let purpose: Credentials.Purpose
        switch mode {
        case .login: purpose = .login
        case .register: purpose = .register
        }
        let made = try? identity.credentials(
            purpose: purpose, audience: relay.endpoint.authority.lowercased(), nonce: challenge.nonce
        )
        guard let credentials = made else {
            throw ConnectionError(
                .login, "the profile's key cannot sign", advice: "restore the profile from a copy, or log in anew",
                status: .configuration
            )
        }
        switch mode {
        case .login: try await send(.login(.init(id: id, credentials: credentials, prekey: prekey)))
        case .register(let invitation):
            let message = ClientMessage.Register(
                id: id, credentials: credentials, invitation: invitation, prekey: prekey
            )
            try await send(.register(message))
        }
        switch try await answer() {
        case .welcome(let welcome) where welcome.id == id: return welcome
        case .error(let refusal):
            throw ConnectionError(
                refused: refusal.code, saying: refusal.shownMessage, name: identity.name, relay: relay
            )
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .note, .delivered, .failed,
            .requested, .refused, .move, .pong:
            throw unexpected()
        }
    }

    /// The next message, within the time a login has.
    private func answer() async throws(ConnectionError) -> ServerMessage {
        let lost = ConnectionError(closed: nil, reason: .lost, relay: relay)
        do {
            if let message = try await nextOfLogin() { return message }
        } catch {
            throw (ClientError(error).connection ?? lost).duringLogin
        }
        throw lost.duringLogin
    }

    private func unexpected() -> ConnectionError {
        ConnectionError(
            .login, "\(relay) broke the protocol at login", advice: "check that it is a relay of this version",
            status: .protocolBreach
        )
    }
}

/// Puts what the relay says, decoded, into a bounded queue, and the reason of the end behind it.
final class ControlMessageHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    typealias Messages = AsyncThrowingStream<ServerMessage, any Error>

    private let queue: Messages.Continuation
    private let unanswered: UnansweredMessages
    private let relay: RelayURL
    private var isOver = false

    /// - Parameter unanswered: told what comes, before ``Messages`` brings it.
    init(queue: Messages.Continuation, unanswered: UnansweredMessages = UnansweredMessages(), relay: RelayURL) {
        self.queue = queue
        self.unanswered = unanswered
        self.relay = relay
    }

    /// The connection may have ended while it was being upgraded: then nothing else tells this handler.
    func handlerAdded(context: ChannelHandlerContext) {
        if !context.channel.isActive { end(ConnectionError(closed: nil, reason: .lost, relay: relay)) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        switch MessageCodec.decodeServerMessage(Self.unwrapInboundIn(data)) {
        case .success(let message):
            unanswered.heard(message)
            if case .dropped = queue.yield(message) { breach("it sends faster than this client reads", context) }
        case .failure(let malformed) where malformed.code == .unknownType:
            break  // A newer relay may say more than this client knows.
        case .failure:
            breach("it sent a message that is not of the protocol", context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .closed(let code, let reason)? = event as? WebSocketEvent {
            end(ConnectionError(closed: code, reason: reason, relay: relay))
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
        context.fireChannelInactive()
    }

    private func breach(_ what: String, _ context: ChannelHandlerContext) {
        end(
            ConnectionError(
                .session, "\(relay) broke the protocol: \(what)", advice: "check that it is a relay of this version",
                status: .protocolBreach
            )
        )
        context.triggerUserOutboundEvent(
            WebSocketCommand.close(code: WebSocketCloseCode.protocolError.rawValue), promise: nil
        )
    }

    private func end(_ error: ConnectionError) {
        guard !isOver else { return }
        isOver = true
        unanswered.ended()
        queue.finish(throwing: error)
    }
}

@available(*, unavailable)
extension ControlMessageHandler: Sendable {}

/// The client's half of the upgrade to the control connection (RFC 6455, section 4.1), subprotocol included.
final class ControlUpgrader: NIOTypedHTTPClientProtocolUpgrader {
    typealias UpgradeResult = ControlUpgrade

    let supportedProtocol = "websocket"
    let requiredUpgradeHeaders: [String] = []

    private let key: WebSocketKey
    private let handler: @Sendable () -> ControlMessageHandler

    /// - Parameters:
    ///   - key: that of the request.
    ///   - handler: makes what comes behind the WebSocket.
    init(key: WebSocketKey = WebSocketKey(), handler: @escaping @Sendable () -> ControlMessageHandler) {
        self.key = key
        self.handler = handler
    }

    func addCustom(upgradeRequestHeaders: inout HTTPHeaders) {
        for field in key.requestFields(subprotocol: ProtocolDefaults.subprotocol) {
            upgradeRequestHeaders.add(name: field.name, value: field.value)
        }
    }

    func shouldAllowUpgrade(upgradeResponse: HTTPResponseHead) -> Bool {
        key.fault(subprotocol: ProtocolDefaults.subprotocol) { upgradeResponse.headers[$0] } == nil
    }

    func upgrade(channel: any Channel, upgradeResponse: HTTPResponseHead) -> EventLoopFuture<ControlUpgrade> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try WebSocketPipeline.install(on: pipeline, role: .client)
            try pipeline.addHandler(handler())
            return .done
        }
    }
}

/// What the relay answered to the upgrade.
enum ControlUpgrade: Sendable {
    /// The connection is a WebSocket now.
    case done
    /// It is not; the answer follows.
    case refused(EventLoopFuture<HTTPResponse>)

    /// Asks `relay` for it on a connection to it.
    ///
    /// - Parameters:
    ///   - key: that of the request.
    ///   - handler: makes what comes behind the WebSocket.
    static func start(
        on channel: any Channel, of relay: RelayURL, key: WebSocketKey = WebSocketKey(),
        handler: @escaping @Sendable () -> ControlMessageHandler
    ) throws -> EventLoopFuture<ControlUpgrade> {
        let target = relay.controlTarget
        let encoder = HTTPRequestEncoder()
        let decoder = HTTPCoding.decoder()
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: target.target, headers: HTTPCoding.headers(for: target)
        )
        let configuration = NIOTypedHTTPClientUpgradeConfiguration<ControlUpgrade>(
            upgradeRequestHead: head,
            upgraders: [ControlUpgrader(key: key, handler: handler)],
            notUpgradingCompletionHandler: { channel in
                channel.eventLoop.makeCompletedFuture {
                    let promise = channel.eventLoop.makePromise(of: HTTPResponse.self)
                    do {
                        try channel.pipeline.syncOperations.addHandler(HTTPResponseHandler(promise: promise))
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
        try channel.pipeline.syncOperations.addHandlers([encoder, decoder, upgrade])
        return upgrade.upgradeResultFuture
    }
}
