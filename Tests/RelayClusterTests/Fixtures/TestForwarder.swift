// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

@testable import RelayCluster

/// A network between two nodes: passes bytes on, until it is told to cut or to freeze.
final class TestForwarder: Sendable {
    private struct State {
        var channels: [any Channel] = []
        var isFrozen = false
    }

    private let listener: any Channel
    private let state: Shared

    private final class Shared: Sendable {
        let state = Mutex(State())
    }

    /// Passes everything on to `port` of this machine; with nil, takes connections and says nothing.
    init(to port: Int?) async throws {
        let shared = Shared()
        state = shared
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                shared.state.withLock { $0.channels.append(channel) }
                guard let port else { return channel.eventLoop.makeSucceededVoidFuture() }
                return ClientBootstrap(group: channel.eventLoop)
                    .channelOption(.autoRead, value: false)
                    .connect(host: "127.0.0.1", port: port)
                    .flatMapThrowing { other in
                        shared.state.withLock { $0.channels.append(other) }
                        try channel.pipeline.syncOperations.addHandler(Pass(to: other))
                        try other.pipeline.syncOperations.addHandler(Pass(to: channel))
                        try channel.syncOptions?.setOption(.autoRead, value: true)
                        try other.syncOptions?.setOption(.autoRead, value: true)
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    /// Breaks every connection there is.
    func cut() {
        let channels = state.state.withLock { state in
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }

    /// Stops reading from every connection.
    func freeze() async throws {
        for channel in state.state.withLock({ $0.channels }) {
            try await channel.setOption(.autoRead, value: false).get()
        }
    }

    func stop() async throws {
        try await listener.close()
        cut()
    }
}

/// Gives what comes to another channel on the same event loop.
private final class Pass: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let other: any Channel

    init(to other: any Channel) { self.other = other }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other.writeAndFlush(Self.unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
