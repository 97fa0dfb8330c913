// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

@Suite("Moving a connection to the event loop of its download", .timeLimit(.minutes(5))) struct ConnectionMoveTests {
    /// A connection that was accepted, and the socket of its client.
    private struct Connection {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let listener: any Channel
        let accepted: any Channel
        let client: CInt

        init() async throws {
            let accepted = group.any().makePromise(of: (any Channel).self)
            listener = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    accepted.succeed(channel)
                    return channel.eventLoop.makeSucceededVoidFuture()
                }
                .bind(host: "127.0.0.1", port: 0).get()
            client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let (socket, address) = (client, try #require(listener.localAddress))
            try #require(unsafe address.withSockAddr { unsafe connect(socket, $0, socklen_t($1)) } == 0)
            self.accepted = try await accepted.futureResult.get()
        }

        /// Resets the connection, and waits until the kernel knows so at this end, on the loop.
        static func reset(_ client: CInt, _ accepted: any Channel) throws {
            var now = linger(l_onoff: 1, l_linger: 0)
            unsafe setsockopt(client, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
            close(client)
            try accepted.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                socket in
                var looked = pollfd(fd: socket, events: 0, revents: 0)
                _ = unsafe poll(&looked, 1, 10_000)
            }
        }
    }

    /// NIO gives out what a client had sent when a write to it fails, and closes the connection only then.
    @Test("a connection that was reset counts as lost; one whose kernel takes nothing more is not blamed on its client")
    func unsent() async throws {
        let stream = EmbeddedStream()
        let (_, pipe) = try stream.parked()
        let download = try #require(stream.services.streams.place(of: stream.key))
        let head = RequestHead(
            method: "PUT", path: "/upload", query: nil, minorVersion: 1, host: "a", framing: .length(1),
            expectsContinue: false, fields: [])
        let request = UploadRequest(head, leftover: ByteBuffer(string: "x"))
        let connection = try await Connection()
        let (accepted, client) = (connection.accepted, connection.client)
        let outcomes = try await accepted.eventLoop.submit {
            accepted.write(ByteBuffer(string: "tickets"), promise: nil)
            let whole = ConnectionMove.move(accepted, request: request, to: download, lease: nil)
            try Connection.reset(client, accepted)
            let broken = ConnectionMove.move(accepted, request: request, to: download, lease: nil)
            let ofNode = ConnectionMove.move(
                accepted, request: request, to: download, lease: nil, lossMeans: .clusterUnavailable)
            return [whole, broken, ofNode]
        }.get()
        #expect(outcomes == [.internalError, .senderGone, .clusterUnavailable])
        pipe.abort(.cancelled)
        try await connection.listener.close()
        try await connection.group.shutdownGracefully()
    }
}
