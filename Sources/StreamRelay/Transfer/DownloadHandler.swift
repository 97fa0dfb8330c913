// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
package import TransferBroker
package import WSProtocol

/// The receiver's half: a request that is held until the sender comes, then an answer whose body is the sender's.
package final class DownloadHandler: ChannelInboundHandler, StreamSink {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private var pipe: Pipe?
    private var context: ChannelHandlerContext?
    private var socket: ReceiverSocket?
    private let stream: StreamKey
    private let services: StreamServices
    private var framing = BodyWriter(length: 0)

    package init(_ stream: StreamKey, services: StreamServices) {
        self.stream = stream
        self.services = services
    }

    /// Whether the connection takes more.
    package var isWritable: Bool { context?.channel.isWritable ?? false }

    /// What the kernel knows about the receiver.
    package var receiverState: StreamMachine.ReceiverState? { socket?.state }

    /// What the kernel's buffer for the receiver takes.
    package var sendBuffer: ReadWindow.SendBuffer? { socket?.sendBuffer }

    /// What waits until the kernel takes more.
    package var unsentBytes: Int { context?.unsentBytes ?? 0 }

    /// The kernel may hold more for the receiver.
    package func peerIsConsuming() { socket?.allowUnsent(Defaults.Stream.provenUnsentBytes) }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        socket = ReceiverSocket(context.channel)
        SocketSettings.prepareForStreaming(context.channel)
        let pipe = Pipe(stream, to: self, loop: context.eventLoop, services: services)
        self.pipe = pipe
        pipe.park()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        socket = nil
        pipe = nil
    }

    /// Sends the answer's head; without a length the body is chunked (RFC 9112, section 7.1).
    package func start(length: UInt64?) {
        framing = BodyWriter(length: length)
        if let context, let pipe { context.share(pipe.buffers) }
        var head = ByteBuffer()
        ResponseHead.write(
            .ok,
            [
                .init(name: "Content-Type", value: "application/octet-stream"), BodyWriter.field(length: length),
                .init(name: "Cache-Control", value: "no-store"), .init(name: "Connection", value: "close"),
            ],
            into: &head
        )
        context?.writeAndFlush(wrapOutboundOut(head), promise: nil)
    }

    /// Writes content; ``flush()`` sends it.
    package func write(_ content: ByteBuffer) {
        guard let context else { return }
        let (first, second) = framing.framed(content)
        context.write(wrapOutboundOut(first), promise: nil)
        if let second { context.write(wrapOutboundOut(second), promise: nil) }
    }

    /// Sends what was written.
    package func flush() { context?.flush() }

    /// Sends the end of the body and tells the pipe when everything is in the kernel's hands.
    package func finish() {
        guard let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(framing.end)).whenSuccess { bound.value.pipe?.downloadFlushed() }
    }

    /// Closes the connection as complete.
    package func close() {
        pipe = nil
        context?.close(promise: nil)
    }

    /// Closes the connection without close_notify: a cut is never an end.
    package func cut(_ code: FailureCode) {
        pipe = nil
        context?.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        context?.close(promise: nil)
    }

    /// Answers with a refusal instead of a body.
    package func refuse(_ code: FailureCode) {
        pipe = nil
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ResponseHead.refusal(.stream(code))), promise: nil)
        context.close(promise: nil)
    }

    /// Whatever a receiver sends after its request means nothing.
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        pipe?.writabilityChanged(isWritable: context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    /// A receiver that ends TLS takes nothing more.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed {
            pipe?.downloadCut()
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        socket = nil
        pipe?.downloadCut()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        pipe?.downloadCut()
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension DownloadHandler: Sendable {}
