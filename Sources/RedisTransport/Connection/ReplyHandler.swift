// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Bytes towards the network, commands and replies towards the other handlers. What hiredis makes of the bytes is
/// checked; after anything that is not a reply the connection is closed.
final class ReplyHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = RESPValue
    typealias OutboundIn = RedisCommand
    typealias OutboundOut = ByteBuffer

    private let reader = ReplyReader()
    private var isOpen = true

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard isOpen else { return }
        do throws(RedisError) {
            try reader.feed(Self.unwrapInboundIn(data))
            while isOpen, let value = try reader.next() { context.fireChannelRead(Self.wrapInboundOut(value)) }
        } catch {
            isOpen = false
            context.fireErrorCaught(error)
            ConnectionEnd.cut(context)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        do throws(RedisError) {
            context.write(Self.wrapOutboundOut(try CommandWriter.format(Self.unwrapOutboundIn(data))), promise: promise)
        } catch {
            promise?.fail(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isOpen = false
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { isOpen = false }
}

@available(*, unavailable)
extension ReplyHandler: Sendable {}
