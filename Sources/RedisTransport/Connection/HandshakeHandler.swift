// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import TLSTransport

/// Runs the login on a new connection, tells the handlers behind it and a promise how it went, and leaves.
final class HandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = RESPValue
    typealias InboundOut = RESPValue
    typealias OutboundOut = RedisCommand

    private var machine: HandshakeMachine
    private let isTLS: Bool
    private let timeout: TimeAmount
    private let promise: EventLoopPromise<HandshakeResult>
    private var timer: Scheduled<Void>?

    /// - Parameter promise: fails with a `RedisRefusal`, a `RedisRedirect`, a `RedisError` or, for what TLS says, a
    ///   `TLSError`.
    init(settings: RedisSettings, server: RedisEndpoint, promise: EventLoopPromise<HandshakeResult>) {
        machine = HandshakeMachine(url: settings.url, server: server, key: settings.key)
        isTLS = settings.url.isTLS
        timeout = settings.handshakeTimeout
        self.promise = promise
    }

    /// Begins: the connection stands already.
    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.run(self.machine.timedOut(), context)
        }
        if !isTLS { run(machine.connected(), context) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSEvent { run(machine.connected(), context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        run(machine.replyReceived(Self.unwrapInboundIn(data)), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        run(machine.closed(), context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        promise.fail(RedisError(.disconnected))
    }

    private func run(_ action: HandshakeMachine.Action, _ context: ChannelHandlerContext) {
        switch action {
        case .none: break
        case .send(let command): context.writeAndFlush(Self.wrapOutboundOut(command), promise: nil)
        case .ready(let version):
            timer?.cancel()
            // First those behind, so that they are ready when the promise's owner uses them.
            context.fireUserInboundEventTriggered(RedisEvent.ready(version))
            promise.succeed(HandshakeResult(version: version, nodes: machine.nodes))
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        case .redirect(let server): fail(RedisRedirect(server: server), context)
        case .refuse(let refusal): fail(refusal, context)
        case .fail(let error): fail(error, context)
        }
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        timer?.cancel()
        promise.fail(error)
        ConnectionEnd.cut(context)
    }
}

@available(*, unavailable)
extension HandshakeHandler: Sendable {}

/// What came of a login.
struct HandshakeResult: Hashable, Sendable {
    let version: RedisVersion
    /// The servers of its cluster; none where it is in none.
    let nodes: [RedisEndpoint]
}

/// What the handlers of a connection tell those behind them, as inbound user events.
enum RedisEvent: Hashable, Sendable {
    /// The login is done: from here on the replies are those to the handlers' own commands.
    case ready(RedisVersion)
}
