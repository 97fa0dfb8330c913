// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

@testable import TLSTransport

/// A TLS server on a port of its own, on real sockets, that gives every connection the handler a test makes.
final class LoopbackServer: Sendable {
    let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    init(_ context: TLSContext, _ handler: @escaping @Sendable () -> any ChannelHandler & Sendable) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([TLSHandler(server: context), handler()])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    func stop() async throws {
        try await listener.close()
        try await group.shutdownGracefully()
    }
}

/// Sends back what it gets. At a line `quit` it closes, at `cut` it aborts.
final class EchoHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        let text = String(buffer: bytes)
        context.writeAndFlush(data, promise: nil)
        if text.contains("quit\n") { context.close(promise: nil) }
        if text.contains("cut\n") { context.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Answers each request with a short text, as a web server does.
final class WebHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: response)), promise: nil)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// A client on a real socket: sends a text after the handshake, and gathers everything until the end.
final class LoopbackClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How a conversation went.
    struct Result: Sendable {
        var text = ""
        var events: [TLSEvent] = []
        var errors: [TLSError] = []
    }

    private let request: String
    private let ended: EventLoopPromise<Result>
    private var result = Result()

    init(_ request: String, _ ended: EventLoopPromise<Result>) {
        self.request = request
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        result.text += String(buffer: Self.unwrapInboundIn(data))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? TLSEvent else { return }
        result.events.append(event)
        switch event {
        case .handshakeCompleted:
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        case .peerClosed, .truncated:
            // Some servers wait for our close_notify before they close.
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { result.errors.append(error) }
    }

    func channelInactive(context: ChannelHandlerContext) { ended.succeed(result) }

    /// Talks to a port of this machine until the other side ends it.
    static func talk(_ context: TLSContext, name: String, port: Int, request: String) async throws -> Result {
        let group = MultiThreadedEventLoopGroup.singleton
        let ended = group.next().makePromise(of: Result.self)
        _ = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        TLSHandler(client: context, serverName: TLSServerName(host: name)),
                        LoopbackClient(request, ended),
                    ])
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return try await ended.futureResult.get()
    }
}
