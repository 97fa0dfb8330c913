// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import TLSTransport

/// Runs a `SentinelMachine` on a connection, and closes that.
final class SentinelHandler: ChannelInboundHandler {
    typealias InboundIn = RESPValue
    typealias OutboundOut = RedisCommand

    private var machine: SentinelMachine
    private let isTLS: Bool
    private let timeout: TimeAmount
    private var timer: Scheduled<Void>?
    /// Called exactly once.
    private var answered: ((SentinelAnswer) -> Void)?

    init(_ machine: SentinelMachine, isTLS: Bool, timeout: TimeAmount, answered: @escaping (SentinelAnswer) -> Void) {
        self.machine = machine
        self.isTLS = isTLS
        self.timeout = timeout
        self.answered = answered
    }

    /// Begins: the connection stands already.
    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.run(self.machine.ended(RedisError(.unreachable, "it did not answer")), context)
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
        run(machine.ended(RedisError(.unreachable, "\(error)")), context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        run(machine.ended(RedisError(.unreachable, "it closed the connection")), context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        answered?(.failed(RedisError(.disconnected)))
        answered = nil
    }

    private func run(_ action: SentinelMachine.Action, _ context: ChannelHandlerContext) {
        switch action {
        case .none: break
        case .send(let command): context.writeAndFlush(Self.wrapOutboundOut(command), promise: nil)
        case .answer(let answer):
            timer?.cancel()
            answered?(answer)
            answered = nil
            ConnectionEnd.cut(context)
        }
    }
}

@available(*, unavailable)
extension SentinelHandler: Sendable {}
