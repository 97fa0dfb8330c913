// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded

@testable import TLSTransport

/// Keeps what comes out of a TLS handler towards the other handlers.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// The plaintext of all reads.
    var bytes = ByteBuffer()
    /// The length of each read.
    var reads: [Int] = []
    var events: [TLSEvent] = []
    var errors: [TLSError] = []
    var isInactive = false
    var completeReads = 0
    /// Called with the context at each read.
    var onRead: ((ChannelHandlerContext) -> Void)?
    /// Called with the context at each event.
    var onEvent: ((ChannelHandlerContext, TLSEvent) -> Void)?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = Self.unwrapInboundIn(data)
        reads.append(buffer.readableBytes)
        bytes.writeImmutableBuffer(buffer)
        onRead?(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        completeReads += 1
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? TLSEvent else { return }
        events.append(event)
        onEvent?(context, event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { errors.append(error) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isInactive = true
        context.fireChannelInactive()
    }

    /// The handshake's outcome, if it is complete.
    var summary: TLSHandshakeSummary? {
        for case .handshakeCompleted(let summary) in events { return summary }
        return nil
    }
}

/// What became of a promise.
final class Outcome {
    private var result: Result<Void, any Error>?

    init(_ future: EventLoopFuture<Void>) {
        future.assumeIsolated().whenComplete { self.result = $0 }
    }

    var isPending: Bool { result == nil }

    var isSuccess: Bool {
        if case .success = result { return true }
        return false
    }

    var error: TLSError? {
        if case .failure(let error) = result { return error as? TLSError }
        return nil
    }
}

/// One end of a connection in memory.
final class End {
    let channel: EmbeddedChannel
    let handler: TLSHandler
    let recorder = Recorder()

    init(_ handler: TLSHandler, on loop: EmbeddedEventLoop, active: Bool = true) throws {
        self.handler = handler
        channel = EmbeddedChannel(handlers: [handler, recorder], loop: loop)
        if active { channel.connect(to: try SocketAddress(unixDomainSocketPath: "/none"), promise: nil) }
    }

    func write(_ bytes: ByteBuffer) {
        channel.writeAndFlush(bytes, promise: nil)
    }

    /// Writes, and keeps how it went.
    func promisedWrite(_ bytes: ByteBuffer) -> Outcome {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        defer { channel.writeAndFlush(bytes, promise: promise) }
        return Outcome(promise.futureResult)
    }

    /// Closes, and keeps how it went.
    func promisedClose(mode: CloseMode = .all) -> Outcome {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        defer { channel.close(mode: mode, promise: promise) }
        return Outcome(promise.futureResult)
    }
}

/// A client's and a server's channel, joined in memory and pumped by hand.
final class JoinedChannels {
    let loop = EmbeddedEventLoop()
    let client: End
    let server: End
    /// How many bytes are moved at a time; nil moves each buffer as it is.
    var drip: Int?

    init(client: TLSHandler, server: TLSHandler) throws {
        self.server = try End(server, on: loop)
        self.client = try End(client, on: loop)
    }

    /// Moves everything both ways until nothing moves any more.
    func pump() throws {
        var moved = true
        while moved {
            let up = try Self.move(client.channel, server.channel, drip)
            let down = try Self.move(server.channel, client.channel, drip)
            moved = up || down
            loop.run()
        }
    }

    /// Moves what one end has sent to the other; whether there was anything.
    static func move(_ from: EmbeddedChannel, _ to: EmbeddedChannel, _ drip: Int? = nil) throws -> Bool {
        var moved = false
        while var bytes = try from.readOutbound(as: ByteBuffer.self) {
            moved = true
            while let part = bytes.readSlice(length: min(drip ?? bytes.readableBytes, bytes.readableBytes)),
                part.readableBytes > 0
            {
                // A channel that has closed gets nothing more.
                guard to.isActive else { break }
                // A copy, as from a socket: nothing is shared between the two ends.
                to.pipeline.fireChannelRead(ByteBuffer(bytes: part.readableBytesView))
                to.pipeline.fireChannelReadComplete()
            }
        }
        return moved
    }

    /// Everything `from` has to send, in one buffer.
    static func takeAll(_ from: EmbeddedChannel) throws -> ByteBuffer {
        var all = ByteBuffer()
        while let bytes = try from.readOutbound(as: ByteBuffer.self) { all.writeImmutableBuffer(bytes) }
        return all
    }
}
