// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
package import TransferBroker
package import WSProtocol

/// The way of a stream to the node that holds its download: a request to that node, whose body is the sender's.
///
/// The sender's cut is passed on as the end of TLS in the middle of the body; a connection that merely breaks means
/// that a node, or the network between two, is gone.
package final class PeerUploadHandler: ChannelInboundHandler, ConnectionSink {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum State {
        /// The other node has to be reached, and to say that it has the download.
        case asking(EventLoopPromise<PeerUploadHandler>, deadline: Scheduled<Void>)
        case open(Pipe)
        /// The whole body is sent; the other node has to say that it was handed over.
        case finished(Pipe)
        case ended
    }

    let output = BodyOutput()
    private var state = State.ended
    private var parser = NodeAnswerParser()
    private let length: UInt64?
    private let stream: StreamKey
    private let node: NodeID

    private init(_ stream: StreamKey, on node: NodeID, length: UInt64?) {
        self.stream = stream
        self.node = node
        self.length = length
    }

    /// Asks `node` for the download of `stream`; on `loop`. Fails with ``StreamHopRefused``, within
    /// ``Defaults/Stream/nodeTimeout``.
    package static func open(
        _ stream: StreamKey, on node: NodeID, length: UInt64?, loop: any EventLoop, connector: any NodeConnector
    ) -> EventLoopFuture<PeerUploadHandler>.Isolated {
        let handler = PeerUploadHandler(stream, on: node, length: length)
        let joined = loop.makePromise(of: PeerUploadHandler.self)
        let deadline = loop.assumeIsolated().scheduleTask(in: Defaults.Stream.nodeTimeout) {
            handler.broke(.clusterUnavailable)
        }
        handler.state = .asking(joined, deadline: deadline)
        let bound = NIOLoopBound(handler, eventLoop: loop)
        connector.connect(to: node, on: loop) { channel in
            try PeerUploadPipeline.install(bound.value, on: channel)
        }.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): handler.ask(on: channel)
            case .failure: handler.broke(.clusterUnavailable)
            }
        }
        return joined.futureResult.assumeIsolated()
    }

    private func ask(on channel: any Channel) {
        // The caller may have got its answer in the meantime.
        guard case .asking = state else { return channel.close(promise: nil) }
        guard let context = output.context, channel.isActive else { return broke(.clusterUnavailable) }
        output.connected()
        var head = ByteBuffer()
        head.writeString("PUT /stream HTTP/1.1\r\nHost: \(node)\r\n")
        head.writeString("Relay-Home: \(stream.home)\r\nRelay-Transfer: \(stream.transfer)\r\n")
        let field = BodyWriter.field(length: length)
        head.writeString("\(field.name): \(field.value)\r\nExpect: 100-continue\r\n\r\n")
        context.writeAndFlush(Self.wrapOutboundOut(head), promise: nil)
    }

    /// The stream that goes on to the other node, with the upload still to come.
    package func park(_ services: StreamServices, on loop: any EventLoop) -> Pipe {
        let pipe = Pipe(stream, to: self, isHop: true, loop: loop, services: services)
        pipe.park()
        if output.context?.channel.isActive == true { state = .open(pipe) } else { pipe.abort(.clusterUnavailable) }
        return pipe
    }

    // MARK: - StreamSink

    /// The request's head, which announces the body, has been sent already.
    package func start(length: UInt64?) {
        if case .open(let pipe) = state { output.begin(length: length, sharing: pipe.buffers) }
    }

    package func finish() {
        guard case .open(let pipe) = state, output.context != nil else { return }
        state = .finished(pipe)
        output.end(promise: nil)
    }

    package func close() {
        state = .ended
        output.context?.close(promise: nil)
    }

    package func cut(_ code: FailureCode) {
        state = .ended
        let isSenders = code == .senderGone || code == .malformedBody
        if !isSenders { output.context?.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }
        output.context?.close(promise: nil)
    }

    package func refuse(_ code: FailureCode) { cut(code) }

    // MARK: - ChannelInboundHandler

    package func handlerAdded(context: ChannelHandlerContext) { output.added(context) }

    package func handlerRemoved(context: ChannelHandlerContext) {
        output.disconnected()
        broke(.clusterUnavailable)
        output.removed()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(Self.unwrapInboundIn(data))
    }

    private func take(_ bytes: ByteBuffer) {
        guard let answer = parser.feed(bytes) else { return }
        switch (answer, state) {
        case (.proceed, .asking(let joined, let deadline)):
            deadline.cancel()
            state = .ended
            joined.assumeIsolated().succeed(self)
            // The next answer may have come with this one.
            take(ByteBuffer())
        case (.complete, .finished(let pipe)): pipe.downloadFlushed()
        case (.refused(let code), _): broke(code)
        case (.proceed, _), (.complete, _), (.malformed, _): broke(.clusterUnavailable)
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        switch state {
        case .open(let pipe), .finished(let pipe): pipe.writabilityChanged(isWritable: context.channel.isWritable)
        case .asking, .ended: break
        }
        context.fireChannelWritabilityChanged()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { broke(.clusterUnavailable) }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        output.disconnected()
        broke(.clusterUnavailable)
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { broke(.clusterUnavailable) }

    /// The other node does not go on with it.
    private func broke(_ code: FailureCode) {
        let before = state
        state = .ended
        switch before {
        case .asking(let joined, let deadline):
            deadline.cancel()
            joined.fail(StreamHopRefused(code: code))
            output.context?.close(promise: nil)
        // The pipe closes the connection.
        case .open(let pipe), .finished(let pipe): pipe.abort(code)
        case .ended: break
        }
    }
}

/// Why a stream cannot go on to another node.
package struct StreamHopRefused: Error, Hashable {
    package var code: FailureCode
}

@available(*, unavailable)
extension PeerUploadHandler: Sendable {}

/// Makes connections to other nodes. For any thread.
package protocol NodeConnector: Sendable {
    /// A connection to `node` on `loop`, whose certificate has proven that it is that node. `initialize` adds the
    /// handlers behind TLS, on the loop. Fails when there is none within ``Defaults/Stream/nodeTimeout``.
    func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel>
}
