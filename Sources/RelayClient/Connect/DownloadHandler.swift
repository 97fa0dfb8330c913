// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TransferClient

/// Runs one download on its channel: collects what arrives until it is asked for, and stops reading meanwhile.
final class DownloadHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    /// Succeeds with the head of a good answer.
    private let ready: EventLoopPromise<Void>
    private var state = State.awaitingHead
    private var pieces: [ByteBuffer] = []
    private var bytes = 0
    private var isPaused = false
    /// The one consumer that waits for more.
    private var waiting: EventLoopPromise<[ByteBuffer]?>?
    private var timer: Scheduled<Void>?
    /// When the last bytes of the body came, or were asked for again.
    private var lastHeard = NIODeadline.uptimeNanoseconds(0)
    private var context: ChannelHandlerContext?

    private enum State {
        case awaitingHead
        /// The body of an error answer.
        case refused(status: Int, retryAfter: String?, body: ByteBuffer)
        case streaming
        /// The body is complete.
        case complete
        case failed(StreamError)
    }

    init(head: HTTPRequestHead, ready: EventLoopPromise<Void>) {
        self.head = head
        self.ready = ready
    }

    /// Sends the request: TLS stands when this handler is added.
    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        arm(context.eventLoop.now + Defaults.downloadAnswerTimeout)
    }

    /// Hands over everything that has arrived, or the next that will; nil at the end.
    func next(promise: EventLoopPromise<[ByteBuffer]?>) {
        guard waiting == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
        if !pieces.isEmpty {
            promise.succeed(pieces)
            pieces = []
            bytes = 0
            pause(false)
            return
        }
        switch state {
        case .awaitingHead, .refused, .streaming: waiting = promise
        case .complete: promise.succeed(nil)
        case .failed(let error): promise.fail(error)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (Self.unwrapInboundIn(data), state) {
        case (.head(let head), .awaitingHead): headReceived(head)
        case (.body(let part), .streaming): take(part)
        case (.body(var part), .refused(let status, let retryAfter, var body)):
            body.appendAnswer(&part)
            state = .refused(status: status, retryAfter: retryAfter, body: body)
        case (.end, .streaming):
            state = .complete
            timer?.cancel()
            if pieces.isEmpty {
                waiting?.succeed(nil)
                waiting = nil
            }
            context.close(promise: nil)
        case (.end, .refused): connectionEnded()
        case (.head, _), (.body, _), (.end, _): break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        lastHeard = context.eventLoop.now
        handOver()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        handOver()
        connectionEnded()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connectionEnded() }

    func handlerRemoved(context: ChannelHandlerContext) {
        connectionEnded()
        self.context = nil
    }

    private func headReceived(_ head: HTTPResponseHead) {
        let hasLength = !head.headers["Content-Length"].isEmpty || !head.headers["Transfer-Encoding"].isEmpty
        guard head.status == .ok, hasLength else {
            state = .refused(
                status: Int(head.status.code), retryAfter: head.headers.first(name: "Retry-After"), body: ByteBuffer()
            )
            if let context { arm(context.eventLoop.now + Defaults.answerTimeout) }
            return
        }
        state = .streaming
        if let context { arm(context.eventLoop.now + Defaults.downloadSilence) }
        ready.succeed()
    }

    /// Sees to it that nothing is waited for longer than until `deadline`.
    private func arm(_ deadline: NIODeadline) {
        timer?.cancel()
        timer = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.deadlinePassed(deadline) }
    }

    private func deadlinePassed(_ now: NIODeadline) {
        switch state {
        case .awaitingHead: fail(.silent)
        case .refused: connectionEnded()
        case .streaming:
            // A timer for each read would cost more than one that comes too early now and then.
            let end = (isPaused ? now : lastHeard) + Defaults.downloadSilence
            if end > now { arm(end) } else { fail(.silent) }
        case .complete, .failed: break
        }
    }

    private func take(_ part: ByteBuffer) {
        pieces.append(part)
        bytes += part.readableBytes
        if bytes >= Defaults.downloadHighWaterMark { pause(true) }
    }

    /// Gives what has arrived to whoever waits; once per read, so that a consumer gets large pieces.
    private func handOver() {
        guard let promise = waiting, !pieces.isEmpty else { return }
        waiting = nil
        next(promise: promise)
    }

    private func pause(_ pause: Bool) {
        guard isPaused != pause else { return }
        isPaused = pause
        if let context { lastHeard = context.eventLoop.now }
        try? context?.channel.syncOptions?.setOption(.autoRead, value: !pause)
    }

    private func connectionEnded() {
        switch state {
        case .awaitingHead, .streaming: fail(.cut)
        case .refused(let status, let retryAfter, let body):
            fail(.refused(HTTPAnswer(status: status, body: body, retryAfter: retryAfter)))
        case .complete, .failed: break
        }
    }

    private func fail(_ error: StreamError) {
        timer?.cancel()
        state = .failed(error)
        ready.fail(error)
        waiting?.fail(error)
        waiting = nil
        context?.close(promise: nil)
    }
}

@available(*, unavailable)
extension DownloadHandler: Sendable {}
