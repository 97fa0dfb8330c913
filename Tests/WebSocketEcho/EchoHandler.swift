// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Says each message again.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let heard: EventLoopPromise<[ByteBuffer]>?
    private let isSilent: Bool
    private var messages: [ByteBuffer] = []

    /// - Parameters:
    ///   - heard: gets everything that was said, at the end.
    ///   - isSilent: whether nothing is to be said again after all.
    init(_ heard: EventLoopPromise<[ByteBuffer]>?, isSilent: Bool = false) {
        self.heard = heard
        self.isSilent = isSilent
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let message = Self.unwrapInboundIn(data)
        if heard != nil { messages.append(message) }
        if !isSilent { context.write(Self.wrapOutboundOut(message), promise: nil) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func channelInactive(context: ChannelHandlerContext) {
        heard?.succeed(messages)
        context.fireChannelInactive()
    }
}

@available(*, unavailable)
extension EchoHandler: Sendable {}
