// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Holds writes back, as a socket does whose peer reads nothing.
final class Gate: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var bytes = 0
    private var held: [(NIOAny, EventLoopPromise<Void>?)] = []
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        bytes += Self.unwrapOutboundIn(data).readableBytes
        held.append((data, promise))
    }

    /// Lets everything through that was held.
    func open() {
        let all = held
        held = []
        for (data, promise) in all { context?.write(data, promise: promise) }
        context?.flush()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        for (_, promise) in held { promise?.fail(ChannelError.ioOnClosedChannel) }
        held = []
        context.close(mode: mode, promise: promise)
    }
}
