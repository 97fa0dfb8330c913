// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import StreamRelay

/// A real connection whose client finishes while the server does not ask for more.
@Suite(.timeLimit(.minutes(5))) struct HalfCloseReadGateTests {
    private static let piece = 4096
    private static let total = 25 * piece

    @Test func aPeerThatHasFinishedIsReadAsItIsAskedFor() async throws {
        try await withConnection { gate, client in
            try await client.writeAndFlush(ByteBuffer(repeating: 7, count: Self.total)).get()
            try await client.close(mode: .output).get()
            try await Self.acknowledged(client)
            // Three turns of the loop: it has seen all there is to see.
            for _ in 0..<3 { try await gate.eventLoop.submit {}.get() }
            #expect(try await gate.eventLoop.submit { gate.value.bytes }.get() == Self.piece)
            try await gate.eventLoop.submit { gate.value.open() }.get()
            #expect(try await gate.eventLoop.submit { gate.value.finished.futureResult }.get().get() == Self.total)
        }
    }

    @Test func aPeerThatResetsIsGone() async throws {
        try await withConnection { gate, client in
            try await client.writeAndFlush(ByteBuffer(repeating: 7, count: Self.total)).get()
            let options = try #require(client as? any SocketOptionProvider)
            try await options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
            try await client.close().get()
            #expect(try await gate.eventLoop.submit { gate.value.finished.futureResult }.get().get() <= Self.piece)
        }
    }

    /// Waits until the other side's kernel has everything, the end included.
    private static func acknowledged(_ client: any Channel) async throws {
        let finWait2: UInt8 = 5
        // Without a state the server has closed it already.
        while let state = try await client.eventLoop.submit({ Self.state(of: client) }).get(), state != finWait2 {
            await Task.yield()
        }
    }

    private static func state(of channel: any Channel) -> UInt8? {
        try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            socket in
            unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { info in
                var length = socklen_t(info.count)
                let isKnown = unsafe getsockopt(socket, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length) == 0
                return isKnown ? unsafe info.load(as: UInt8.self) : 0
            }
        }
    }

    private func withConnection(
        _ body: (NIOLoopBound<Gate>, any Channel) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let gate = try await group.next().submit { NIOLoopBound(Gate(group.next()), eventLoop: group.next()) }.get()
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_rcvbuf), value: 1 << 20)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.piece))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(HalfCloseReadGate())
                    try channel.pipeline.syncOperations.addHandler(gate.value)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let result: Result<Void, any Error>
        do {
            let address = try #require(server.localAddress)
            let client = try await ClientBootstrap(group: group).connect(to: address).get()
            result = .success(try await body(gate, client))
        } catch { result = .failure(error) }
        try await server.close()
        try await group.shutdownGracefully()
        try result.get()
    }
}

/// Asks for one piece, and for no more until it is opened. Counts all that comes.
private final class Gate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private(set) var bytes = 0
    let finished: EventLoopPromise<Int>
    private var isOpen = false
    private var context: ChannelHandlerContext?

    init(_ loop: any EventLoop) { finished = loop.makePromise() }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func read(context: ChannelHandlerContext) {
        if isOpen || bytes == 0 { context.read() }
    }

    func open() {
        isOpen = true
        context?.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { bytes += Self.unwrapInboundIn(data).readableBytes }

    func channelInactive(context: ChannelHandlerContext) { finished.succeed(bytes) }
}

@available(*, unavailable)
extension Gate: Sendable {}
