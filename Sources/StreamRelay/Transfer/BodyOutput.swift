// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import TLSTransport
import TransferBroker

/// The way of a stream's body into a connection, framed, and what the kernel knows about the connection's far end.
/// On the connection's event loop only.
final class BodyOutput {
    /// The handler's context as long as it is in a pipeline.
    private(set) var context: ChannelHandlerContext?
    private var socket: ReceiverSocket?
    private var framing = BodyWriter(length: 0)

    /// The handler has been added.
    func added(_ context: ChannelHandlerContext) { self.context = context }

    /// The connection is there.
    func connected() {
        guard let channel = context?.channel else { return }
        socket = ReceiverSocket(channel)
        SocketSettings.prepareForStreaming(channel)
    }

    /// The connection is gone, and its descriptor may be another one's soon.
    func disconnected() { socket = nil }

    /// The handler has been removed.
    func removed() {
        socket = nil
        context = nil
    }

    /// The body begins; without a length it is chunked (RFC 9112, section 7.1). TLS uses `buffers` from now on.
    func begin(length: UInt64?, sharing buffers: SharedBuffers?) {
        framing = BodyWriter(length: length)
        if let buffers { context?.share(buffers) }
    }

    /// Writes content; ``flush()`` sends it.
    func write(_ content: ByteBuffer) {
        guard let context else { return }
        let (first, second) = framing.framed(content)
        context.write(NIOAny(first), promise: nil)
        if let second { context.write(NIOAny(second), promise: nil) }
    }

    /// Sends what was written.
    func flush() { context?.flush() }

    /// Sends the end of the body.
    func end(promise: EventLoopPromise<Void>?) { context?.writeAndFlush(NIOAny(framing.end), promise: promise) }

    var isWritable: Bool { context?.channel.isWritable ?? false }
    var receiverState: StreamMachine.ReceiverState? { socket?.state }
    var sendBuffer: ReadWindow.SendBuffer? { socket?.sendBuffer }
    var unsentBytes: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    /// The kernel may hold more for the far end.
    func peerIsConsuming() { socket?.allowUnsent(Defaults.Stream.provenUnsentBytes) }
}

@available(*, unavailable)
extension BodyOutput: Sendable {}

/// A sink that is a connection.
protocol ConnectionSink: StreamSink {
    var output: BodyOutput { get }
}

extension ConnectionSink {
    var isWritable: Bool { output.isWritable }
    var receiverState: StreamMachine.ReceiverState? { output.receiverState }
    var sendBuffer: ReadWindow.SendBuffer? { output.sendBuffer }
    var unsentBytes: Int { output.unsentBytes }

    func peerIsConsuming() { output.peerIsConsuming() }
    func write(_ content: ByteBuffer) { output.write(content) }
    func flush() { output.flush() }
}

extension ChannelHandlerContext {
    /// Makes the connection's TLS use `buffers`; false if it has none.
    @discardableResult
    func share(_ buffers: SharedBuffers) -> Bool {
        guard let tls = try? pipeline.syncOperations.handler(type: TLSHandler.self) else { return false }
        tls.share(buffers)
        return true
    }
}
