// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// The receiver's half: a request that is held until the sender comes, then an answer whose body is the sender's.
final class DownloadHandler: ChannelInboundHandler, ConnectionSink {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let output = BodyOutput()
    private var pipe: Pipe?
    private let stream: StreamKey
    private let services: StreamServices

    private let meters: [any StreamMeter]

    /// - Parameter meters: who counts the content.
    init(_ stream: StreamKey, meters: [any StreamMeter] = [], services: StreamServices) {
        self.meters = meters
        self.stream = stream
        self.services = services
    }

    func handlerAdded(context: ChannelHandlerContext) {
        output.added(context)
        output.connected()
        let pipe = Pipe(stream, to: self, meters: meters, loop: context.eventLoop, services: services)
        self.pipe = pipe
        pipe.park()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        output.removed()
        pipe = nil
    }

    /// Sends the answer's head.
    func start(length: UInt64?) {
        output.begin(length: length, sharing: pipe?.buffers)
        var head = ByteBuffer()
        ResponseHead.write(
            .ok,
            [
                .init(name: "Content-Type", value: "application/octet-stream"), BodyWriter.field(length: length),
                .init(name: "Cache-Control", value: "no-store"), .init(name: "Connection", value: "close"),
            ],
            into: &head
        )
        output.context?.writeAndFlush(Self.wrapOutboundOut(head), promise: nil)
    }

    /// Sends the end of the body and tells the pipe when everything is in the kernel's hands.
    func finish() {
        guard let loop = output.context?.eventLoop else { return }
        let sent = loop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess { self.pipe?.downloadFlushed() }
        output.end(promise: sent)
    }

    /// Closes the connection as complete.
    func close() {
        pipe = nil
        output.context?.close(promise: nil)
    }

    /// Closes the connection without close_notify: a cut is never an end. Where a client, or a node, was lost, what was
    /// read of the sender's leaves first, as the receiver goes on behind it.
    func cut(_ code: FailureCode) {
        pipe = nil
        guard let loop = output.context?.eventLoop else { return }
        switch code {
        case .senderGone, .receiverGone, .clusterUnavailable: break
        default: return abort()
        }
        let deadline = loop.assumeIsolated().scheduleTask(in: Defaults.Stream.cutTimeout) { self.abort() }
        let sent = loop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { _ in
            deadline.cancel()
            self.abort()
        }
        output.context?.writeAndFlush(Self.wrapOutboundOut(ByteBuffer()), promise: sent)
    }

    private func abort() {
        output.context?.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        output.context?.close(promise: nil)
    }

    /// Answers with a refusal instead of a body.
    func refuse(_ code: FailureCode) {
        pipe = nil
        guard let context = output.context else { return }
        context.writeAndFlush(Self.wrapOutboundOut(ResponseHead.refusal(.stream(code))), promise: nil)
        context.close(promise: nil)
    }

    /// Whatever a receiver sends after its request means nothing.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pipe?.writabilityChanged(isWritable: context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    /// A receiver that ends TLS takes nothing more.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed {
            pipe?.downloadCut()
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        output.disconnected()
        pipe?.downloadCut()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        pipe?.downloadCut()
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension DownloadHandler: Sendable {}
