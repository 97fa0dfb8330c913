// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport

/// Waits behind TLS for the end of the handshake, tells a promise, and leaves. TLS itself has the deadline.
final class HandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let promise: EventLoopPromise<TLSHandshakeSummary>

    init(promise: EventLoopPromise<TLSHandshakeSummary>) {
        self.promise = promise
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        promise.fail(ChannelError.eof)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        guard case .handshakeCompleted(let summary)? = event as? TLSEvent else { return }
        promise.succeed(summary)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}

@available(*, unavailable)
extension HandshakeHandler: Sendable {}
