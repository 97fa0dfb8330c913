// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import RelayTestFixtures

@testable import RelayCluster

/// Something that logs a node in as Redis does, and then says one word to whatever it is asked.
final class RefusingRedis: Sendable {
    private let listener: any Channel

    init(_ message: String) async throws {
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(message))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    func stop() async throws { try await listener.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let message: String

        init(_ message: String) { self.message = message }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let command = String(buffer: Self.unwrapInboundIn(data))
            let reply =
                if command.contains("INFO") {
                    "$19\r\nredis_version:7.2.0\r\n"
                } else if command.contains("PING") { "+PONG\r\n" } else { "-\(message)\r\n" }
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: reply)), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
