// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Runs a `SubscriptionMachine` on one connection.
final class SubscriptionHandler: ChannelInboundHandler {
    typealias InboundIn = RESPValue
    typealias OutboundOut = RedisCommand

    /// What the owner is told.
    enum Event {
        /// All channels are subscribed.
        case subscribed
        /// A message came.
        case message(RedisMessage)
        /// A message was too large and is gone.
        case oversized
    }

    private var machine: SubscriptionMachine
    private let timeout: TimeAmount
    private let occurred: (Event) -> Void
    private var timer: Scheduled<Void>?

    init(channels: [String], timeout: TimeAmount, occurred: @escaping (Event) -> Void) {
        machine = SubscriptionMachine(channels: channels)
        self.timeout = timeout
        self.occurred = occurred
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .ready(let version)? = event as? RedisEvent {
            run(machine.connected(isCluster: version.mode == .cluster), context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        run(machine.replyReceived(Self.unwrapInboundIn(data)), context)
    }

    private func run(_ action: SubscriptionMachine.Action, _ context: ChannelHandlerContext) {
        switch action {
        case .none: break
        case .subscribe(let command):
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
                self.run(self.machine.timedOut(), context)
            }
            context.writeAndFlush(Self.wrapOutboundOut(command), promise: nil)
        case .announce:
            timer?.cancel()
            occurred(.subscribed)
        case .deliver(let message): occurred(.message(message))
        case .dropOversized: occurred(.oversized)
        case .fail(let error):
            context.fireErrorCaught(error)
            ConnectionEnd.cut(context)
        }
    }
}

@available(*, unavailable)
extension SubscriptionHandler: Sendable {}
