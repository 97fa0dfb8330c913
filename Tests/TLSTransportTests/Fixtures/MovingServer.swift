// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix

@testable import TLSTransport

/// A server that takes each connection to another event loop right after its handshake, and echoes there.
final class MovingServer: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let other = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let listener: any Channel

    init(_ context: TLSContext) async throws {
        let other = other.next()
        listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = TLSHandler(server: context)
                    try channel.pipeline.syncOperations.addHandlers([handler, Mover(handler, to: other)])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    func stop() async throws {
        try await listener.close()
        try await group.shutdownGracefully()
        try await other.shutdownGracefully()
    }
}

/// Moves its connection as soon as the handshake is complete.
private final class Mover: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let handler: TLSHandler
    private let loop: any EventLoop

    init(_ handler: TLSHandler, to loop: any EventLoop) {
        self.handler = handler
        self.loop = loop
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted? = event as? TLSEvent else { return }
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        guard let handover = try? handler.detach() else { return }
        let copy = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            dup($0)
        }
        guard let descriptor = copy, descriptor >= 0 else { return }
        context.close(promise: nil)
        ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let adopted = TLSHandler(adopting: handover)
                    try channel.pipeline.syncOperations.addHandlers([adopted, Greeter(), EchoHandler()])
                }
            }
            .withConnectedSocket(descriptor)
            .whenFailure { _ in close(descriptor) }
    }
}

/// Says that it is there, before anything is read.
private final class Greeter: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: "moved ")), promise: nil)
        context.fireChannelActive()
    }
}
