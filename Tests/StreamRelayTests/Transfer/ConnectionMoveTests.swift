// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

@Suite("Moving a connection to the event loop of its download") struct ConnectionMoveTests {
    /// NIO gives out what a client had sent when a write to it fails, and closes the connection only then.
    @Test("a connection whose kernel takes nothing more stays, and counts as one that broke")
    func unsent() throws {
        let stream = EmbeddedStream()
        let (_, pipe) = try stream.parked()
        let download = try #require(stream.services.streams.place(of: stream.key))
        let head = RequestHead(
            method: "PUT", path: "/upload", query: nil, minorVersion: 1, host: "a", framing: .length(1),
            expectsContinue: false, fields: [])
        let channel = EmbeddedChannel(loop: stream.loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        channel.write(ByteBuffer(string: "tickets"), promise: nil)

        let request = UploadRequest(head, leftover: ByteBuffer(string: "x"))
        #expect(ConnectionMove.move(channel, request: request, to: download, lease: nil) == .senderGone)
        #expect(
            ConnectionMove.move(channel, request: request, to: download, lease: nil, lossMeans: .clusterUnavailable)
                == .clusterUnavailable)
        #expect(channel.isActive)
        pipe.abort(.cancelled)
    }
}
