// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TLSTransport
import TransferClient
import WSProtocol

/// The sender's half of one transfer: `PUT` with a body that comes piece by piece.
final class UploadStream: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<UploadHandler>
    private let done: EventLoopFuture<UInt64?>

    private init(channel: any Channel, handler: NIOLoopBound<UploadHandler>, done: EventLoopFuture<UInt64?>) {
        self.channel = channel
        self.handler = handler
        self.done = done
    }

    /// Connects, sends the head and waits until the body may follow.
    ///
    /// - Parameter length: the body's exact length in bytes; nil sends it chunked.
    /// - Throws: ``StreamError``.
    static func open(
        _ target: RequestTarget, token: Token, length: UInt64?, dialer: Dialer
    ) async throws(StreamError) -> UploadStream {
        let head = head(for: target, token: token, length: length)
        let channel: any Channel
        do {
            channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.dataUserTimeout) { channel in
                try HTTPCoding.install(on: channel.pipeline.syncOperations, forwardsInformational: true)
            }
        } catch {
            throw .connection(error)
        }
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let done = channel.eventLoop.makePromise(of: UInt64?.self)
        do {
            let handler = try await channel.eventLoop.submit {
                try Self.start(UploadHandler(head: head, length: length, ready: ready, done: done), on: channel)
            }.get()
            try await ready.futureResult.get()
            return UploadStream(channel: channel, handler: handler, done: done.futureResult)
        } catch {
            ready.fail(error)
            done.fail(error)
            channel.close(promise: nil)
            throw ClientError(error).stream ?? .cut
        }
    }

    /// Sends a piece of the body and returns when there is room for the next one.
    func write(_ buffer: ByteBuffer) async throws(StreamError) {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.eventLoop.execute { [handler] in handler.value.write(buffer, promise: promise) }
        try await Self.value(of: promise.futureResult)
    }

    /// Ends the body and waits for the relay's word that it handed everything on.
    ///
    /// - Returns: the count of bytes the relay says it was; nil when it says nothing.
    func finish() async throws(StreamError) -> UInt64? {
        channel.eventLoop.execute { [handler] in handler.value.end() }
        return try await Self.value(of: done)
    }

    /// The receiver has got further: the answer may take longer.
    func receiverProgressed() { channel.eventLoop.execute { [handler] in handler.value.receiverProgressed() } }

    /// Waits for the end without ending the body: an error answer, or the end of the connection.
    func failure() async -> StreamError? {
        do {
            _ = try await Self.value(of: done)
            return nil
        } catch {
            return error
        }
    }

    /// Closes the connection at once, so that the other side cannot take it for a regular end.
    func abort() { channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }

    private static func start(_ handler: UploadHandler, on channel: any Channel) throws -> NIOLoopBound<UploadHandler> {
        let pipeline = channel.pipeline.syncOperations
        try channel.syncOptions?.setOption(
            .writeBufferWaterMark,
            value: .init(low: Defaults.uploadLowWaterMark, high: Defaults.uploadHighWaterMark)
        )
        try pipeline.addHandler(handler)
        return NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    private static func head(for target: RequestTarget, token: Token, length: UInt64?) -> HTTPRequestHead {
        var headers = HTTPCoding.headers(for: target)
        headers.add(name: "Authorization", value: "Bearer \(token.rawValue)")
        headers.add(name: "Content-Type", value: "application/octet-stream")
        headers.add(name: "Expect", value: "100-continue")
        if let length {
            headers.add(name: "Content-Length", value: "\(length)")
        } else {
            headers.add(name: "Transfer-Encoding", value: "chunked")
        }
        return HTTPRequestHead(version: .http1_1, method: .PUT, uri: target.target, headers: headers)
    }

    private static func value<Value: Sendable>(of future: EventLoopFuture<Value>) async throws(StreamError) -> Value {
        do {
            return try await future.get()
        } catch {
            throw ClientError(error).stream ?? .cut
        }
    }
}

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
        run(exchange.answered(HTTPResponse(status: answer.status, body: answer.body, retryAfter: answer.retryAfter)))
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

/// The order of things in one upload (RFC 9110, sections 9.3.4 and 10.1.1): head, `100 Continue`, body, answer, where
/// the answer may come at any time.
struct UploadExchange: Sendable {
    private var state = State.awaitingContinue
    /// Bytes of the body that are still to be written, where its length was announced.
    private var remaining: UInt64?

    /// - Parameter length: the Content-Length in bytes; nil for a chunked body.
    init(length: UInt64?) {
        remaining = length
    }

    private enum State: Hashable, Sendable {
        case awaitingContinue
        case sending
        /// The body is complete.
        case sent
        case over(Outcome)
    }

    /// How an upload ended.
    enum Outcome: Hashable, Sendable {
        /// The relay handed this many bytes on; nil when it did not say.
        case accepted(bytes: UInt64?)
        /// The relay answered something else, perhaps while bytes were still flowing.
        case refused(HTTPResponse)
        /// The connection ended without an answer.
        case cut
        /// Nothing was heard for too long.
        case silent
    }

    /// What `100 Continue`, or waiting long enough for it, leads to.
    enum ContinueAction: Hashable, Sendable {
        case startBody
        case nothing
    }

    /// `100 Continue` came, or was waited for long enough.
    mutating func continued() -> ContinueAction {
        switch state {
        case .awaitingContinue:
            state = .sending
            return .startBody
        case .sending, .sent, .over:
            return .nothing
        }
    }

    /// What to do with a piece of the body.
    enum WriteAction: Hashable, Sendable {
        case write
        case refuse(Outcome)
        /// Nothing may be written now: before the start, behind the end, or beyond the announced length.
        case misuse
    }

    /// There is a piece of the body to write, of so many bytes.
    mutating func bodyOffered(bytes: Int) -> WriteAction {
        switch state {
        case .sending:
            if let remaining {
                let (left, overflow) = remaining.subtractingReportingOverflow(UInt64(bytes))
                guard !overflow else { return .misuse }
                self.remaining = left
            }
            return .write
        case .over(let outcome): return .refuse(outcome)
        case .awaitingContinue, .sent: return .misuse
        }
    }

    /// The body is complete.
    mutating func bodyEnded() -> WriteAction {
        switch state {
        case .sending:
            state = .sent
            return .write
        case .over(let outcome): return .refuse(outcome)
        case .awaitingContinue, .sent: return .misuse
        }
    }

    /// What an answer, or the end of the connection, leads to.
    enum EndAction: Hashable, Sendable {
        /// Tell the waiting caller, and close the connection.
        case report(Outcome)
        case nothing
    }

    /// The relay's whole answer came. `200` before the body's last byte is no success: the relay cannot have
    /// everything.
    mutating func answered(_ answer: HTTPResponse) -> EndAction {
        switch state {
        case .sent where answer.status == 200: end(.accepted(bytes: answer.bytes))
        // The last byte of an announced length ends the body for the relay before it is said here.
        case .sending where answer.status == 200 && remaining == 0: end(.accepted(bytes: answer.bytes))
        case .awaitingContinue, .sending, .sent: end(.refused(answer))
        case .over: .nothing
        }
    }

    /// The connection ended.
    mutating func connectionClosed() -> EndAction {
        switch state {
        case .awaitingContinue, .sending, .sent: end(.cut)
        case .over: .nothing
        }
    }

    /// No answer came although it should have.
    mutating func answerOverdue() -> EndAction {
        switch state {
        case .sent: end(.silent)
        case .awaitingContinue, .sending, .over: .nothing
        }
    }

    private mutating func end(_ outcome: Outcome) -> EndAction {
        state = .over(outcome)
        return .report(outcome)
    }
}

extension StreamError {
    /// The end of an upload that was not accepted; `accepted` is none, and stands here as a cut.
    init(_ outcome: UploadExchange.Outcome) {
        self =
            switch outcome {
            case .refused(let answer): .refused(answer)
            case .cut, .accepted: .cut
            case .silent: .silent
            }
    }
}
