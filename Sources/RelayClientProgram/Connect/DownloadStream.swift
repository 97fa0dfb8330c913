// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import Synchronization
import TLSTransport
import TransferClient
import WSProtocol

/// The receiver's half of one transfer: `GET`, and a body that is taken piece by piece.
final class DownloadStream: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<DownloadHandler>
    private let pieces: ArrivedPieces
    private let ready: EventLoopFuture<Void>

    /// Where it is received.
    var loop: any EventLoop { channel.eventLoop }

    private init(
        channel: any Channel, handler: NIOLoopBound<DownloadHandler>, pieces: ArrivedPieces,
        ready: EventLoopFuture<Void>
    ) {
        self.channel = channel
        self.handler = handler
        self.pieces = pieces
        self.ready = ready
    }

    /// Connects and sends the request, which the relay holds until the sender's half is there.
    ///
    /// - Throws: ``StreamError``.
    private static func open(
        _ target: RequestTarget, token: Token, dialer: Dialer
    ) async throws(StreamError) -> DownloadStream {
        var headers = HTTPCoding.headers(for: target)
        headers.add(name: "Authorization", value: "Bearer \(token.rawValue)")
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.target, headers: headers)
        let channel: any Channel
        do {
            channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.dataUserTimeout) { channel in
                try HTTPCoding.install(on: channel.pipeline.syncOperations)
            }
        } catch {
            throw .connection(error)
        }
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let pieces = ArrivedPieces()
        do {
            let handler = try await channel.eventLoop.submit {
                SocketOptions.fixWindow(of: channel, to: Defaults.downloadWindow)
                let handler = DownloadHandler(head: head, ready: ready, pieces: pieces)
                try channel.syncOptions?.setOption(.recvAllocator, value: Self.reads)
                try channel.pipeline.syncOperations.addHandler(handler)
                return NIOLoopBound(handler, eventLoop: channel.eventLoop)
            }.get()
            return DownloadStream(channel: channel, handler: handler, pieces: pieces, ready: ready.futureResult)
        } catch {
            ready.fail(error)
            channel.close(promise: nil)
            throw .cut
        }
    }

    /// Grows to what comes: a small download needs no large buffer.
    private static let reads = AdaptiveRecvByteBufferAllocator(
        minimum: 2_048, initial: 65_536, maximum: Defaults.downloadRead
    )

    /// As ``open(_:token:dialer:)``, and waits until the sender's half has arrived and the body begins.
    static func begun(_ target: RequestTarget, token: Token, dialer: Dialer) async throws(StreamError) -> DownloadStream
    {
        let stream = try await open(target, token: token, dialer: dialer)
        do {
            try await withTaskCancellationHandler {
                try await stream.ready.get()
            } onCancel: {
                stream.abort()
            }
            return stream
        } catch {
            stream.abort()
            throw ClientError(error).stream ?? .cut
        }
    }

    /// Everything that has arrived since the last call, in order; waits until that is enough, or for a moment.
    ///
    /// - Returns: nil at the end of a body that is whole as far as HTTP can tell.
    /// - Throws: ``StreamError``, after everything that arrived before it.
    func next() async throws(StreamError) -> [ByteBuffer]? {
        let promise = channel.eventLoop.makePromise(of: [ByteBuffer]?.self)
        channel.eventLoop.execute { [handler] in handler.value.next(promise: promise) }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw ClientError(error).stream ?? .cut
        }
    }

    /// What has arrived and was not taken; on any thread.
    func arrived() -> [ByteBuffer] {
        let (pieces, wasFull) = pieces.take()
        if wasFull { channel.eventLoop.execute { [handler] in handler.value.hasRoom() } }
        return pieces
    }

    /// Closes the connection at once, so that the other side cannot take it for a regular end.
    func abort() { channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }
}

/// What has arrived of a download and was not taken yet: the event loop puts it in, any thread takes it out.
final class ArrivedPieces: Sendable {
    private struct State {
        var pieces: [ByteBuffer] = []
        var bytes = 0
    }

    private let state = Mutex(State())

    /// How many bytes there are.
    var bytes: Int { state.withLock { state in state.bytes } }

    /// Adds a piece; returns whether no more should come for now.
    func append(_ piece: ByteBuffer) -> Bool {
        state.withLock { state in
            state.pieces.append(piece)
            state.bytes += piece.readableBytes
            return state.bytes >= Defaults.downloadHighWaterMark
        }
    }

    /// Takes everything, and says whether it was too much for more to come.
    func take() -> (pieces: [ByteBuffer], wasFull: Bool) {
        state.withLock { state in
            defer { state = State() }
            return (state.pieces, state.bytes >= Defaults.downloadHighWaterMark)
        }
    }
}

/// Runs one download on its channel: collects what arrives until it is asked for, and stops reading meanwhile.
final class DownloadHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    /// Succeeds with the head of a good answer.
    private let ready: EventLoopPromise<Void>
    private var state = State.awaitingHead
    private let pieces: ArrivedPieces
    private var isPaused = false
    /// The one consumer that waits for more.
    private var waiting: EventLoopPromise<[ByteBuffer]?>?
    /// When it gets what there is by then.
    private var handover: Scheduled<Void>?
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

    init(head: HTTPRequestHead, ready: EventLoopPromise<Void>, pieces: ArrivedPieces = ArrivedPieces()) {
        self.head = head
        self.ready = ready
        self.pieces = pieces
    }

    /// Sends the request: TLS stands when this handler is added.
    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        arm(context.eventLoop.now + Defaults.downloadAnswerTimeout)
    }

    /// Hands over everything that has arrived, once it is enough to wake its reader for; nil at the end.
    func next(promise: EventLoopPromise<[ByteBuffer]?>) {
        guard waiting == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
        waiting = promise
        handOver()
    }

    /// The consumer has taken everything by itself, and there was too much of it.
    func hasRoom() { pause(false) }

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
            handOver()
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
        if pieces.append(part) { pause(true) }
    }

    /// Gives what has arrived to the waiting consumer: when it is much, when it has waited for a moment, or when
    /// nothing more comes.
    private func handOver(isDue: Bool = false) {
        guard let promise = waiting else { return }
        let bytes = pieces.bytes
        if bytes == 0 {
            switch state {
            case .awaitingHead, .refused, .streaming: return
            case .complete: answer(promise, .success(nil))
            case .failed(let error): answer(promise, .failure(error))
            }
        } else if isDue || bytes >= Defaults.downloadHandover || !isStreaming {
            answer(promise, .success(pieces.take().pieces))
            pause(false)
        } else if handover == nil {
            handover = context?.eventLoop.assumeIsolated().scheduleTask(in: Defaults.downloadHandoverDelay) {
                self.handover = nil
                self.handOver(isDue: true)
            }
        }
    }

    private func answer(_ promise: EventLoopPromise<[ByteBuffer]?>, _ result: Result<[ByteBuffer]?, any Error>) {
        waiting = nil
        handover?.cancel()
        handover = nil
        promise.completeWith(result)
    }

    private var isStreaming: Bool {
        if case .streaming = state { true } else { false }
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
            fail(.refused(HTTPResponse(status: status, body: body, retryAfter: retryAfter)))
        case .complete, .failed: break
        }
    }

    private func fail(_ error: StreamError) {
        timer?.cancel()
        state = .failed(error)
        ready.fail(error)
        handOver()
        context?.close(promise: nil)
    }
}

@available(*, unavailable)
extension DownloadHandler: Sendable {}
