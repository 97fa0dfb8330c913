// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import RelayTestFixtures
import ServerSystem
import StreamRelay
import Synchronization
import TransferBroker
import WSProtocol

@testable import RelayNode

/// The listener and the byte path on a plain loopback port, with transfers minted by the test.
struct TestRelay {
    let group: MultiThreadedEventLoopGroup
    let directory: TestDirectory
    let services: ConnectionServices
    let channel: any Channel

    /// - Parameters:
    ///   - node: what the node is called.
    ///   - directory: shared by the nodes of one test.
    ///   - connector: how it reaches other nodes.
    static func start(
        node: NodeID = .alone, directory: TestDirectory = TestDirectory(), connector: (any NodeConnector)? = nil
    ) async throws -> TestRelay {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let services = ConnectionServices(
            transfers: directory, streams: StreamTable(), node: node, connector: connector, traffic: .forgetful(),
            admission: Admission(descriptorLimit: 1000), control: NoControl(), reports: LimitReports(logger: .quiet),
            logger: .quiet, accepts: AcceptWatch(limit: 1000, logger: .quiet), peers: TrustedPeers(), site: nil,
            challenges: nil, handshakes: HandshakeCounts()
        )
        let channel = try await RelayListener.bootstrap(
            loops: ListenerLoops(accepting: group, connections: group), services: services
        ) { channel, connection in
            try channel.pipeline.syncOperations.addHandler(
                RelayResponder(services: services, connection: connection, purpose: .relay).reader()
            )
        }.bind(host: "127.0.0.1", port: 0).get()
        return TestRelay(group: group, directory: directory, services: services, channel: channel)
    }

    func connect(reading: Bool = true) async throws -> TestClient {
        guard let address = channel.localAddress else { throw ChannelError.eof }
        let collector = TestClient.Collector()
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.autoRead, value: reading)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(collector.handler())
                }
            }
            .connect(to: address).get()
        return TestClient(channel: channel, collector: collector)
    }

    /// A transfer whose receiver is held, waiting for the sender.
    ///
    /// - Parameter isInHeader: whether the receiver shows its token in a header field rather than in the URL.
    func parked(isInHeader: Bool = true) async throws -> (TransferID, up: Token, download: TestClient) {
        let (transfer, up, down) = directory.mint()
        let download = try await connect()
        download.send(
            isInHeader
                ? "GET /download HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer \(down.rawValue)\r\n\r\n"
                : "GET /download?token=\(down.rawValue) HTTP/1.1\r\nHost: r\r\n\r\n")
        try await directory.wait(for: transfer, .downloadParked)
        return (transfer, up, download)
    }

    func stop() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }

    private struct NoControl: ControlAcceptor {
        func install(
            on channel: any Channel, audience: String, client: ClientAddress, loggedIn: @escaping () -> Void
        ) throws { throw ChannelError.eof }
    }
}

/// A raw connection that collects what it receives.
struct TestClient: Sendable {
    let channel: any Channel
    let collector: Collector

    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    func close() { channel.close(promise: nil) }
    func startReading() { channel.setOption(.autoRead, value: true).whenSuccess { [channel] in channel.read() } }

    /// Everything up to the end of the connection.
    func everything() async throws -> String {
        try await collector.wait { $0.isClosed }
    }

    /// Everything so far, once `text` is part of it.
    @discardableResult func received(_ text: String) async throws -> String {
        try await collector.wait { $0.text.contains(text) }
    }

    /// Waits until the connection takes no more.
    func blocked() async throws {
        // Written bytes that the kernel has not taken after the relay stopped reading stay counted by the channel.
        var last = -1
        while true {
            let pending = try await channel.getOption(.bufferedWritableBytes).get()
            if pending > 0, pending == last { return }
            last = pending
            try await channel.eventLoop.scheduleTask(in: .milliseconds(200)) {}.futureResult.get()
        }
    }

    final class Collector: Sendable {
        struct Seen {
            var text = ""
            var isClosed = false
        }
        private struct State {
            var seen = Seen()
            var waiters: [(@Sendable (Seen) -> Bool, CheckedContinuation<String, Never>)] = []
        }
        private let state = Mutex(State())

        func wait(until condition: @escaping @Sendable (Seen) -> Bool) async throws -> String {
            await withCheckedContinuation { continuation in
                update { $0.waiters.append((condition, continuation)) }
            }
        }

        private func update(_ change: (inout State) -> Void) {
            let ready = state.withLock { state in
                change(&state)
                let seen = state.seen
                let ready = state.waiters.filter { $0.0(seen) || seen.isClosed }.map(\.1)
                state.waiters.removeAll { $0.0(seen) || seen.isClosed }
                return (ready, seen.text)
            }
            for waiting in ready.0 { waiting.resume(returning: ready.1) }
        }

        func handler() -> some ChannelHandler & Sendable { Handler(collector: self) }

        private final class Handler: ChannelInboundHandler, Sendable {
            typealias InboundIn = ByteBuffer
            let collector: Collector
            init(collector: Collector) { self.collector = collector }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                let text = String(buffer: Self.unwrapInboundIn(data))
                collector.update { $0.seen.text += text }
            }
            func channelInactive(context: ChannelHandlerContext) { collector.update { $0.seen.isClosed = true } }
            func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
        }
    }
}
