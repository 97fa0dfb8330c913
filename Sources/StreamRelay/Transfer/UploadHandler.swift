// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
import TransferBroker
package import WSProtocol

/// The sender's half: a request body whose content goes into the pipe as it comes, and no faster than it is taken.
package final class UploadHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private var request: UploadRequest
    private var pipe: Pipe?
    private var context: ChannelHandlerContext?
    private var isReadHeldBack = false
    private var hasStarted = false
    private let lossMeans: FailureCode
    private var isChunked: Bool { request.length == nil }

    /// - Parameter lossMeans: what it means when the connection breaks without a word.
    package init(_ request: UploadRequest, into pipe: Pipe, lossMeans: FailureCode = .senderGone) {
        self.request = request
        self.pipe = pipe
        self.lossMeans = lossMeans
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { join() }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        pipe = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        join()
        context.fireChannelActive()
    }

    private func join() {
        guard !hasStarted else { return }
        hasStarted = true
        pipe?.join(self, length: request.length)
    }

    /// The receiver is there: lets the sender begin and takes what it has sent already.
    package func start() {
        guard let context, let pipe else { return }
        // What is held back has to be held back from a sender that has finished as well.
        try? context.pipeline.syncOperations.addHandler(HalfCloseReadGate(), position: .first)
        // Without TLS what was read would wait for the receiver as it is, in a buffer that is far too large for that.
        if context.share(pipe.buffers) {
            let allocator = StreamReceiveAllocator(pipe, loop: context.eventLoop)
            try? context.channel.syncOptions?.setOption(.recvAllocator, value: allocator)
            SocketSettings.fixReceiveBuffer(context.channel, window: Defaults.Stream.unprovenWindow)
        }
        if request.expectsContinue {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
        let leftover = request.leftover
        request.leftover = ByteBuffer()
        take(leftover)
        pipe.flush()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(unwrapInboundIn(data))
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        pipe?.flush()
        context.fireChannelReadComplete()
    }

    private func take(_ arrived: ByteBuffer) {
        var arrived = arrived
        // Small chunks of what arrived go on as one.
        var gathered = ByteBuffer()
        while let pipe {
            switch request.body.next(&arrived) {
            case .content(let content) where content.readableBytes < Defaults.Stream.gatherBelow && isChunked:
                gathered.writeImmutableBuffer(content)
                if gathered.readableBytes >= Defaults.Stream.gatherBytes { forward(&gathered, pipe) }
            case .content(let content):
                forward(&gathered, pipe)
                pipe.forward(content)
            case .needMore: return forward(&gathered, pipe)
            case .end:
                forward(&gathered, pipe)
                return pipe.uploadCompleted()
            case .malformed:
                forward(&gathered, pipe)
                return pipe.uploadMalformed()
            }
        }
    }

    private func forward(_ gathered: inout ByteBuffer, _ pipe: Pipe) {
        guard gathered.readableBytes > 0 else { return }
        pipe.forward(gathered)
        gathered = ByteBuffer()
    }

    /// Reading waits while the receiver's connection takes no more.
    package func read(context: ChannelHandlerContext) {
        if let pipe, pipe.isBlocked {
            isReadHeldBack = true
        } else {
            context.read()
        }
    }

    /// The receiver takes what it gets: the kernel may take in more from the sender.
    func peerIsConsuming() {
        guard let context else { return }
        SocketSettings.freeReceiveBuffer(context.channel, window: Defaults.Stream.provenWindow)
    }

    /// The receiver's connection takes more again.
    package func resume() {
        guard isReadHeldBack else { return }
        isReadHeldBack = false
        context?.read()
    }

    /// Answers that every byte was handed over, and closes.
    package func answer(bytes: UInt64) {
        let answer = ResponseHead.complete(.ok, type: "application/json", body: "{\"bytes\":\(bytes)}\n")
        endWith(answer)
    }

    /// Answers that it is over. The rest of the body is read and dropped, so that the answer arrives.
    package func refuse(_ code: FailureCode) { endWith(ResponseHead.refusal(.stream(code))) }

    /// Closes without an answer.
    package func cut() {
        pipe = nil
        context?.close(promise: nil)
    }

    private func endWith(_ answer: ByteBuffer) { endWith(answer, after: request.body) }

    private func endWith(_ answer: ByteBuffer, after body: RequestBodyReader?) {
        pipe = nil
        guard let context else { return }
        let linger = LingerHandler(answer, after: body)
        let operations = context.pipeline.syncOperations
        guard (try? operations.addHandler(linger, position: .after(self))) != nil else {
            return context.close(promise: nil)
        }
        operations.removeHandler(self, promise: nil)
        if isReadHeldBack { context.channel.read() }
    }

    /// Answers that the body's framing is broken, and closes.
    func refuseMalformed() {
        // There is no telling where it would end.
        var refusal = HTTPError.malformed("the body is not what its framing says")
        refusal.code = FailureCode.malformedBody.rawValue
        endWith(ResponseHead.refusal(refusal), after: nil)
    }

    /// A sender that says it has nothing more to say, although its body is not complete, has been cut.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { pipe?.uploadCut(.senderGone) }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        pipe?.uploadCut(lossMeans)
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        pipe?.uploadCut(lossMeans)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension UploadHandler: Sendable {}
