// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import StreamRelay
import TLSTransport
import TransferBroker

/// The asking side of an inquiry (`docs/cluster-protocol.md`, section 9): one request, and the text of its answer.
final class InquiryHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let head: String
    private let answer: EventLoopPromise<String>
    private var answers = AnswerParser(limit: Defaults.Inquiry.answer)

    /// - Parameter inquiry: printable ASCII.
    init(_ inquiry: String, to node: NodeID, answer: EventLoopPromise<String>) {
        head =
            "POST \(LinkRoute.inquiryPath) HTTP/1.1\r\nHost: \(node)\r\n\(LinkRoute.inquiryField): \(inquiry)\r\n"
            + "Content-Length: 0\r\n\r\n"
        self.answer = answer
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch answers.feed(Self.unwrapInboundIn(data)) {
        case nil: return
        case .answer(200, let body): answer.succeed(String(decoding: body, as: UTF8.self))
        case .answer(404, _): answer.fail(ClusterUnavailable(reason: "it runs another version"))
        case .answer, .interim, .malformed: answer.fail(ClusterUnavailable(reason: "it gave no answer of a node"))
        }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(ClusterUnavailable(reason: "\(error)"))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(ClusterUnavailable(reason: "it closed the connection"))
        context.fireChannelInactive()
    }
}

@available(*, unavailable)
extension InquiryHandler: Sendable {}
