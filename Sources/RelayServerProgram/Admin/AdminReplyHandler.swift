// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// Waits for the one line that the server answers with.
final class AdminReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: EventLoopPromise<ByteBuffer>
    private var assembler = LineAssembler(limit: Defaults.Admin.maximumReply)
    private var deadline: Scheduled<Void>?

    init(_ answer: EventLoopPromise<ByteBuffer>) { self.answer = answer }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: .seconds(Defaults.Admin.exchangeTimeout)) {
            channel.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        // Harmless when there was an answer: a promise keeps its first result.
        answer.fail(ChannelError.eof)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch assembler.feed(Self.unwrapInboundIn(data)) {
        case .needMore: return
        case .tooLong: context.close(promise: nil)
        case .line(let line):
            answer.succeed(line)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
