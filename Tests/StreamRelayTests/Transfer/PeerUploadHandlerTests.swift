// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import RelayTestFixtures
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

/// Asking another node for its download, on a channel without a socket.
@Suite struct PeerUploadHandlerTests {
    private let stream = EmbeddedStream()
    private let connection: EmbeddedChannel
    private let connected: EventLoopPromise<Void>

    init() {
        connection = EmbeddedChannel(loop: stream.loop)
        connected = stream.loop.makePromise()
    }

    /// Reaches the node when the test says so.
    private struct Connector: NodeConnector {
        let channel: any Channel
        let connected: EventLoopFuture<Void>

        func connect(
            to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
        ) -> EventLoopFuture<any Channel> {
            connected.flatMapThrowing { [channel] in
                try initialize(channel)
                return channel
            }
        }
    }

    private func open() throws -> EventLoopFuture<PeerUploadHandler>.Isolated {
        try connection.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return PeerUploadHandler.open(
            stream.key, on: .test("b"), length: 4, loop: stream.loop,
            connector: Connector(channel: connection, connected: connected.futureResult))
    }

    private static let late = Defaults.Stream.nodeTimeout - .milliseconds(1)

    @Test func aNodeThatIsReachedTooLateIsNotAsked() throws {
        let answer = try open()
        stream.loop.advanceTime(by: Defaults.Stream.nodeTimeout)
        #expect(throws: StreamHopRefused(code: .clusterUnavailable)) { try answer.map { _ in }.nonisolated().wait() }
        connected.succeed()
        #expect(!connection.isActive)
        #expect(try connection.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test func theTimeToBeReachedIsPartOfTheTimeToAnswer() throws {
        let answer = try open()
        stream.loop.advanceTime(by: Self.late)
        connected.succeed()
        #expect(try connection.readOutbound(as: ByteBuffer.self) != nil)
        stream.loop.advanceTime(by: .milliseconds(1))
        #expect(throws: StreamHopRefused(code: .clusterUnavailable)) { try answer.map { _ in }.nonisolated().wait() }
        #expect(!connection.isActive)
    }

    @Test func aRefusalRightBehindTheGoAheadIsHeard() throws {
        let answer = try open()
        let services = stream.services
        answer.whenSuccess { [stream] handler in
            _ = handler.park(services, on: stream.loop)
        }
        connected.succeed()
        let body = #"{"code":"receiver_gone","message":"x"}"#
        try connection.writeInbound(
            ByteBuffer(
                string:
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                    + body))
        #expect(services.streams.counts == StreamCounts())
        #expect(services.streams.count == 0)
    }
}
