// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// The sender's half: a request body whose content goes into the pipe as it comes, and no faster than it is taken.
final class UploadHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var request: UploadRequest
    private var pipe: Pipe?
    private var context: ChannelHandlerContext?
    private var isReadHeldBack = false
    private var hasStarted = false
    private let lossMeans: FailureCode
    private var isChunked: Bool { request.length == nil }

    /// - Parameter lossMeans: what it means when the connection breaks without a word.
    init(_ request: UploadRequest, into pipe: Pipe, lossMeans: FailureCode = .senderGone) {
        self.request = request
        self.pipe = pipe
        self.lossMeans = lossMeans
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { join() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        pipe = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        join()
        context.fireChannelActive()
    }

    private func join() {
        guard !hasStarted else { return }
        hasStarted = true
        pipe?.join(self, length: request.length)
    }

    /// The receiver is there: lets the sender begin and takes what it has sent already.
    func start() {
        guard let context, let pipe else { return }
        // Without TLS what was read would wait for the receiver as it is, in a buffer that is far too large for that.
        if context.share(pipe.buffers) {
            let allocator = StreamReceiveAllocator(pipe, loop: context.eventLoop)
            try? context.channel.syncOptions?.setOption(.recvAllocator, value: allocator)
            SocketSettings.fixReceiveBuffer(context.channel, window: Defaults.Stream.unprovenWindow)
        }
        if request.expectsContinue {
            let proceed = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(Self.wrapOutboundOut(proceed), promise: nil)
        }
        let leftover = request.leftover
        request.leftover = ByteBuffer()
        take(leftover)
        pipe.flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(Self.unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
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
    func read(context: ChannelHandlerContext) {
        if let pipe, pipe.isBlocked {
            isReadHeldBack = true
        } else {
            context.read()
        }
    }

    /// The receiver takes what it gets: the kernel may take in more from the sender.
    func peerIsConsuming() {
        guard let context else { return }
        SocketSettings.fixReceiveBuffer(context.channel, window: Defaults.Stream.provenWindow)
    }

    /// The receiver's connection takes more again.
    func resume() {
        guard isReadHeldBack else { return }
        isReadHeldBack = false
        context?.read()
    }

    /// Answers that every byte was handed over, and closes.
    func answer(bytes: UInt64) {
        let answer = ResponseHead.complete(.ok, type: "application/json", body: "{\"bytes\":\(bytes)}\n")
        endWith(answer)
    }

    /// Answers that it is over. The rest of the body is read and dropped, so that the answer arrives.
    func refuse(_ code: FailureCode) { endWith(ResponseHead.refusal(.stream(code))) }

    /// Closes without an answer.
    func cut() {
        pipe = nil
        context?.close(promise: nil)
    }

    private func endWith(_ answer: ByteBuffer) { endWith(answer, after: request.body) }

    private func endWith(_ answer: ByteBuffer, after body: RequestBodyReader?) {
        pipe = nil
        guard let channel = context?.channel else { return }
        UploadPipeline.end(self, on: channel, with: answer, after: body)
        if isReadHeldBack { channel.read() }
    }

    /// Answers that the body's framing is broken, and closes.
    func refuseMalformed() {
        // There is no telling where it would end.
        var refusal = HTTPError.malformed("the body is not what its framing says")
        refusal.code = FailureCode.malformedBody.rawValue
        endWith(ResponseHead.refusal(refusal), after: nil)
    }

    /// A sender that says it has nothing more to say, although its body is not complete, has been cut.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { pipe?.uploadCut(.senderGone) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        pipe?.uploadCut(lossMeans)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        pipe?.uploadCut(lossMeans)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension UploadHandler: Sendable {}

/// An upload whose head has been read: all that has to move along when its connection changes event loops.
package struct UploadRequest: Sendable {
    var expectsContinue: Bool
    /// The body's length; nil when it is chunked.
    package var length: UInt64?
    package var body: RequestBodyReader
    /// What arrived behind the head.
    package var leftover: ByteBuffer

    package init(_ head: RequestHead, leftover: ByteBuffer) {
        expectsContinue = head.expectsContinue
        switch head.framing {
        case .length(let length): self.length = length
        case .chunked: length = nil
        case .none: length = 0
        }
        body = RequestBodyReader(head.framing)
        self.leftover = leftover
    }
}

/// Where NIO gets the buffer for each read of an upload: from the pipe, which knows how much may be read.
struct StreamReceiveAllocator: RecvByteBufferAllocator {
    private let pipe: NIOLoopBound<Pipe>
    private var hasRead = false

    /// Reads for `pipe`, on `loop`.
    init(_ pipe: Pipe, loop: any EventLoop) {
        self.pipe = NIOLoopBound(pipe, eventLoop: loop)
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        // The channel never lets go of the first one.
        hasRead ? pipe.value.receiveBuffer() : allocator.buffer(capacity: Defaults.Stream.firstReceiveBytes)
    }

    /// Nil: the channel must not keep a buffer for its next read.
    func nextBufferSize() -> Int? { nil }

    /// Always true, which makes the channel ask for a buffer before each read.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }
}
