// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import TransferBroker

/// Sends a last answer and sees to it that it arrives: what the client is still sending is read and dropped for a
/// while, because closing a socket with unread bytes makes the kernel send a reset that overtakes the answer.
final class LingerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: ByteBuffer
    private var body: RequestBodyReader?
    private var idle: Scheduled<Void>?
    private var total: Scheduled<Void>?

    /// - Parameter body: where the request's body stands; nil when the request is so malformed that this is unknown.
    init(_ answer: ByteBuffer, after body: RequestBodyReader?) {
        self.answer = answer
        self.body = body
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(answer), promise: nil)
        if body?.isComplete ?? false { return context.close(promise: nil) }
        let time = body == nil ? Defaults.Request.lingerMalformed : Defaults.Request.lingerTotal
        total = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
        restartIdle(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        idle?.cancel()
        total?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard var reader = body else { return }
        var arrived = Self.unwrapInboundIn(data)
        steps: while true {
            switch reader.next(&arrived) {
            case .content: continue
            case .needMore: break steps
            case .end, .malformed: return context.close(promise: nil)
            }
        }
        body = reader
        restartIdle(context)
    }

    /// A peer that ends TLS waits for nothing more.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        idle?.cancel()
        total?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func restartIdle(_ context: ChannelHandlerContext) {
        idle?.cancel()
        idle = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Request.lingerIdle) {
            context.close(promise: nil)
        }
    }
}

@available(*, unavailable)
extension LingerHandler: Sendable {}
