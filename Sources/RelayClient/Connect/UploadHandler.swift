// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TransferClient

/// Runs one upload on its channel: back-pressure towards the source, and the relay's answer whenever it comes.
final class UploadHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    /// Succeeds when the body may be sent.
    private let ready: EventLoopPromise<Void>
    /// Succeeds with the relay's `200`; fails with a ``StreamError``.
    private let done: EventLoopPromise<UInt64?>
    private var exchange: UploadExchange
    private var answer: (status: Int, retryAfter: String?, body: ByteBuffer)?
    /// The one write that waits until the channel is writable again.
    private var waiting: EventLoopPromise<Void>?
    private var timer: Scheduled<Void>?
    /// Whether the whole body is written.
    private var hasEnded = false
    private var context: ChannelHandlerContext?

    /// - Parameter length: the body's length, as the head announces it; nil for a chunked body.
    init(head: HTTPRequestHead, length: UInt64?, ready: EventLoopPromise<Void>, done: EventLoopPromise<UInt64?>) {
        self.head = head
        exchange = UploadExchange(length: length)
        self.ready = ready
        self.done = done
    }

    /// Sends the head: TLS stands when this handler is added.
    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: nil)
        arm(Defaults.continueTimeout) { self.continued() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        run(exchange.connectionClosed())
        self.context = nil
    }

    /// Writes a piece of the body; `promise` succeeds when there is room for the next one. One write at a time.
    func write(_ buffer: ByteBuffer, promise: EventLoopPromise<Void>) {
        switch exchange.bodyOffered(bytes: buffer.readableBytes) {
        case .write:
            guard let context, waiting == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
            context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
            if context.channel.isWritable { promise.succeed() } else { waiting = promise }
        case .refuse(let outcome): promise.fail(StreamError(outcome))
        case .misuse: promise.fail(ChannelError.inappropriateOperationForState)
        }
    }

    /// Ends the body.
    func end() {
        switch exchange.bodyEnded() {
        case .write:
            context?.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
            hasEnded = true
            awaitAnswer()
        case .refuse, .misuse: break
        }
    }

    /// The receiver says that it has got further: what the relay and the network hold is on its way to it.
    func receiverProgressed() {
        if hasEnded { awaitAnswer() }
    }

    private func awaitAnswer() {
        // Of an answer that has begun, the end is due sooner.
        guard answer == nil else { return }
        arm(Defaults.uploadAnswerTimeout) { self.run(self.exchange.answerOverdue()) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head) where head.status == .continue: continued()
        case .head(let head) where (100..<200).contains(head.status.code): break
        case .head(let head):
            answer = (Int(head.status.code), head.headers.first(name: "Retry-After"), ByteBuffer())
            arm(Defaults.answerTimeout) { self.answered() }
        case .body(var part): answer?.body.appendAnswer(&part)
        case .end: answered()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            waiting?.succeed()
            waiting = nil
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        // An answer that was cut behind its head has still said what matters.
        if answer != nil { answered() } else { run(exchange.connectionClosed()) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if answer != nil { answered() } else { run(exchange.connectionClosed()) }
    }

    /// Runs `action` after `time`, instead of what was to be run before.
    private func arm(_ time: TimeAmount, _ action: @escaping () -> Void) {
        timer?.cancel()
        timer = context?.eventLoop.assumeIsolated().scheduleTask(in: time, action)
    }

    private func continued() {
        switch exchange.continued() {
        case .startBody:
            timer?.cancel()
            ready.succeed()
        case .nothing: break
        }
    }

    private func answered() {
        guard let answer else { return }
        run(exchange.answered(HTTPAnswer(status: answer.status, body: answer.body, retryAfter: answer.retryAfter)))
    }

    private func run(_ action: UploadExchange.EndAction) {
        guard case .report(let outcome) = action else { return }
        timer?.cancel()
        hasEnded = false
        if case .accepted(let bytes) = outcome {
            waiting?.succeed()
            done.succeed(bytes)
        } else {
            let error = StreamError(outcome)
            ready.fail(error)
            waiting?.fail(error)
            done.fail(error)
        }
        waiting = nil
        context?.close(promise: nil)
    }
}

@available(*, unavailable)
extension UploadHandler: Sendable {}
