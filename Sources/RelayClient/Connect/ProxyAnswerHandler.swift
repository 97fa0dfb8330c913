// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1

/// Stands before the CONNECT handler, which does not tell what a proxy that refuses has said.
final class ProxyAnswerHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    /// A proxy's answer that opens no tunnel.
    struct Refusal: Error, Hashable, Sendable {
        let status: Int
    }

    private let promise: EventLoopPromise<Void>
    private var isOver = false

    init(promise: EventLoopPromise<Void>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isOver { return }
        switch Self.unwrapInboundIn(data) {
        case .head(let head) where !(200..<300).contains(head.status.code):
            isOver = true
            promise.fail(Refusal(status: Int(head.status.code)))
            context.close(promise: nil)
        case .head, .body:
            context.fireChannelRead(data)
        case .end:
            isOver = true
            context.fireChannelRead(data)
        }
    }
}

@available(*, unavailable)
extension ProxyAnswerHandler: Sendable {}
