// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import TLSTransport
import TransferBroker
import WSProtocol
import WebSocketTransport

@testable import RelayCluster

/// A connection to a node's listener on which a test says what it likes.
enum TestCaller {
    /// Opens a link with the identity of a node, says `texts`, and returns what came back until the end.
    static func link(to node: TestNode, as identity: NodeIdentity, saying texts: [String]) async throws -> [LinkFrame] {
        let (heard, continuation) = AsyncStream.makeStream(of: LinkFrame.self)
        let channel = try await NodeDialer(identity).connect(
            to: node.id, at: node.address, on: MultiThreadedEventLoopGroup.singleton.next()
        ) { channel in
            let upgrade = LinkUpgradeHandler(to: node.id, heartbeat: .init()) { result in
                guard case .success(let channel) = result else { return continuation.finish() }
                for text in texts { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
            } report: { event in
                switch event {
                case .frame(let frame): continuation.yield(frame)
                case .malformed: break
                case .ended: continuation.finish()
                }
            }
            try channel.pipeline.syncOperations.addHandler(upgrade)
        }.get()
        var frames: [LinkFrame] = []
        for await frame in heard { frames.append(frame) }
        try await channel.closeFuture.get()
        return frames
    }

    /// Makes one request with the identity of a node, and returns the answer.
    static func request(_ text: String, of node: TestNode, as identity: NodeIdentity) async throws -> String {
        let answer = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: String.self)
        NodeDialer(identity).connect(to: node.id, at: node.address, on: answer.futureResult.eventLoop) { channel in
            try channel.pipeline.syncOperations.addHandler(Answer(answer))
            channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        }.whenFailure { answer.fail($0) }
        return try await answer.futureResult.get()
    }

    /// Connects with these TLS settings, and returns the error that ends it.
    static func handshake(with context: TLSContext, to node: TestNode) async throws -> TLSError? {
        let ended = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: TLSError?.self)
        ClientBootstrap(group: ended.futureResult.eventLoop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers([
                    TLSHandler(client: context, serverName: .dns(node.id.rawValue)), FirstError(ended),
                ])
            }
        }.connect(host: "127.0.0.1", port: node.address.port).whenFailure { ended.fail($0) }
        return try await ended.futureResult.get()
    }
}

/// Gathers everything until the end.
private final class Answer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let answer: EventLoopPromise<String>
    private var text = ""

    init(_ answer: EventLoopPromise<String>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: Self.unwrapInboundIn(data))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { answer.succeed(text) }
}

/// Waits for an error.
private final class FirstError: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let ended: EventLoopPromise<TLSError?>

    init(_ ended: EventLoopPromise<TLSError?>) { self.ended = ended }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { ended.succeed(error) }
    }

    func channelInactive(context: ChannelHandlerContext) { ended.succeed(nil) }
}
