// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay
import TransferBroker

/// Serves one connection of the metrics listener: one request, one answer, closed.
final class MetricsHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let source: MetricsSource
    private var parser = RequestHeadParser()
    private var deadline: Scheduled<Void>?
    /// Set once the head is there: nothing more is read until the answer is.
    private var isRead = false
    private var isReadHeldBack = false

    init(_ source: MetricsSource) { self.source = source }

    func handlerAdded(context: ChannelHandlerContext) {
        // For the request and for what is asked to answer it.
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Metrics.exchangeTimeout) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if isRead { isReadHeldBack = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What follows a request of this listener means nothing.
        guard !isRead else { return }
        var arrived = unwrapInboundIn(data)
        switch parser.feed(&arrived) {
        case .needMore: return
        case .refused(let refusal):
            isRead = true
            end(ResponseHead.refusal(refusal), nil, context)
        case .head(let head):
            isRead = true
            var body = RequestBodyReader(head.framing)
            while case .content = body.next(&arrived) {}
            answer(head, body, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ head: RequestHead, _ body: RequestBodyReader, _ context: ChannelHandlerContext) {
        // A HEAD's answer has no body (RFC 9110, section 9.3.2).
        let withBody = head.method != "HEAD"
        do throws(HTTPRefusal) {
            switch try MetricsRoute(head) {
            case .health:
                let answer = ResponseHead.complete(.ok, type: "text/plain", body: "ok\n", withBody: withBody)
                end(answer, body, context)
            case .readiness:
                let readiness = source.readiness()
                let answer = ResponseHead.complete(
                    readiness.status, type: "text/plain", body: readiness.rawValue + "\n", withBody: withBody
                )
                end(answer, body, context)
            case .metrics:
                let source = source
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                context.eventLoop.makeFutureWithTask {
                    let page = MetricsPage.render(await source.snapshot())
                    return ResponseHead.complete(.ok, type: MetricsPage.type, body: page, withBody: withBody)
                }.whenSuccess { answer in
                    let (handler, context) = bound.value
                    handler.end(answer, body, context)
                }
            }
        } catch {
            end(ResponseHead.refusal(error, withBody: withBody), body, context)
        }
    }

    /// Sends the last bytes and lets the connection end.
    private func end(_ answer: ByteBuffer, _ body: RequestBodyReader?, _ context: ChannelHandlerContext) {
        // Somebody may have left, or the deadline may have passed, while the figures were asked for.
        guard context.channel.isActive else { return }
        let pipeline = context.pipeline.syncOperations
        guard (try? pipeline.addHandler(LingerHandler(answer, after: body), position: .after(self))) != nil else {
            return context.close(promise: nil)
        }
        pipeline.removeHandler(self, promise: nil)
        if isReadHeldBack { context.channel.read() }
    }
}

@available(*, unavailable)
extension MetricsHandler: Sendable {}
