// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// A server that listens where a Redis should be, accepts any login, and then answers as the test wants.
final class FakeServer: Sendable {
    private let listener: any Channel

    /// - Parameters:
    ///   - mode: how it says it runs.
    ///   - answer: the bytes for each piece of commands that is no part of the login; none means silence.
    init(mode: String = "standalone", _ answer: @escaping @Sendable (String) -> [UInt8]) async throws {
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeRedisHandler(mode, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    func stop() async throws { try await listener.close() }
}

/// Answers INFO and PING as Redis does, and leaves the rest to a closure.
final class FakeRedisHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let mode: String
    private let answer: @Sendable (String) -> [UInt8]

    init(_ mode: String, _ answer: @escaping @Sendable (String) -> [UInt8]) {
        (self.mode, self.answer) = (mode, answer)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let command = String(buffer: Self.unwrapInboundIn(data))
        let bytes: [UInt8] =
            if command.contains("INFO") {
                Self.bulk("redis_version:7.2.0\r\nredis_mode:\(mode)")
            } else if command.contains("PING") {
                Array("+PONG\r\n".utf8)
            } else {
                answer(command)
            }
        guard !bytes.isEmpty else { return }
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }

    private static func bulk(_ text: String) -> [UInt8] { Array("$\(text.utf8.count)\r\n\(text)\r\n".utf8) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
