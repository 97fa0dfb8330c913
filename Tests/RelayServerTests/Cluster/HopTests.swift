// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Testing
import WSProtocol

@testable import RelayServer

/// Two nodes on loopback, without TLS: the upload lands on one, the download is on the other.
@Suite(.timeLimit(.minutes(1))) struct HopTests {
    private static let a = NodeID(rawValue: "a")!
    private static let b = NodeID(rawValue: "b")!

    @Test(arguments: [false, true]) func carriesAStreamFromNodeToNode(isChunked: Bool) async throws {
        try await withNodes { upNode, downNode, _ in
            for round in 0..<6 {
                let (transfer, up, download) = try await downNode.parked()
                let upload = try await upNode.connect()
                let content = String(repeating: "content \(round) ", count: 60_000)
                let length = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(content.utf8.count)"
                upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\n\(length)\r\n\r\n")
                upload.send(isChunked ? "\(String(content.utf8.count, radix: 16))\r\n\(content)\r\n0\r\n\r\n" : content)
                let answer = try await upload.everything()
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(answer.hasSuffix("{\"bytes\":\(content.utf8.count)}\n"))
                let body = try await download.everything()
                #expect(
                    body.contains(isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(content.utf8.count)"))
                #expect(PipeTests.content(of: body) == content)
                try await downNode.directory.wait(for: transfer, .finished(bytes: UInt64(content.utf8.count)))
            }
            #expect(upNode.services.streams.counts == StreamCounts(toReceivers: 0, toNodes: 6))
            #expect(downNode.services.streams.counts == StreamCounts(toReceivers: 6, toNodes: 0))
            // The test ends, with its time limit, when the last has gone.
            while upNode.services.streams.count + downNode.services.streams.count > 0 { await Task.yield() }
        }
    }

    @Test func asksForTheBodyOnlyOnceTheOtherNodeHasTheReceiver() async throws {
        try await withNodes { upNode, downNode, _ in
            let (_, up, download) = try await downNode.parked()
            let upload = try await upNode.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            )
            try await upload.received("HTTP/1.1 100 Continue\r\n\r\n")
            upload.send("hi")
            #expect(try await download.everything().hasSuffix("\r\n\r\nhi"))
            #expect(try await upload.everything().contains("HTTP/1.1 200 OK"))
        }
    }

    @Test func tellsTheSenderThatTheReceiverIsGone() async throws {
        try await withNodes { upNode, downNode, _ in
            let (transfer, up, download) = try await downNode.parked()
            let upload = try await upNode.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            try await download.received("some")
            download.close()
            try await downNode.directory.wait(for: transfer, .cut(.receiverGone, bytes: 4))
            #expect(try await upload.received("receiver_gone").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test func neverMakesACutLookLikeAnEnd() async throws {
        try await withNodes { upNode, downNode, _ in
            let (transfer, up, download) = try await downNode.parked()
            let upload = try await upNode.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"
            )
            try await download.received("some")
            upload.close()
            #expect(!(try await download.everything().contains("0\r\n\r\n")))
            // Without TLS nobody can say whose the cut was.
            try await downNode.directory.wait(for: transfer, .cut(.clusterUnavailable, bytes: 4))
            try await downNode.directory.wait(for: transfer, .cut(.senderGone, bytes: 0))
        }
    }

    @Test func holdsTheSenderBackWhileTheReceiverTakesNothing() async throws {
        try await withNodes { upNode, downNode, _ in
            let (transfer, up, down) = downNode.directory.mint()
            let download = try await downNode.connect(reading: false)
            download.send("GET /download?token=\(down.rawValue) HTTP/1.1\r\nHost: r\r\n\r\n")
            try await downNode.directory.wait(for: transfer, .downloadParked)
            let upload = try await upNode.connect()
            let size = 64 * 1024 * 1024
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: \(size)\r\n\r\n")
            let piece = String(repeating: "x", count: 1024 * 1024)
            for _ in 0..<64 { upload.send(piece) }
            try await upload.blocked()
            download.startReading()
            #expect(try await download.everything().utf8.count > size)
            #expect(try await upload.everything().contains("HTTP/1.1 200 OK"))
        }
    }

    @Test func aNodeThatIsNotReachedIsSaidToBe() async throws {
        try await withNodes { upNode, downNode, door in
            let (transfer, up, _) = try await downNode.parked()
            try await door.close()
            let upload = try await upNode.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            #expect(try await upload.received("cluster_unavailable").hasPrefix("HTTP/1.1 503 "))
            try await upNode.directory.wait(for: transfer, .cut(.clusterUnavailable, bytes: 0))
        }
    }

    @Test func aStreamThatTheOtherNodeDoesNotHaveIsRefused() async throws {
        try await withNodes { upNode, downNode, _ in
            let (transfer, up, _) = downNode.directory.mint()
            let upload = try await upNode.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            #expect(try await upload.received("receiver_gone").hasPrefix("HTTP/1.1 502 "))
            try await upNode.directory.wait(for: transfer, .cut(.receiverGone, bytes: 0))
        }
    }

    private func withNodes(_ body: (TestRelay, TestRelay, any Channel) async throws -> Void) async throws {
        let directory = TestDirectory(downloadNode: Self.b)
        let downNode = try await TestRelay.start(node: Self.b, directory: directory)
        let services = downNode.services
        let door = try await RelayListener.bootstrap(group: downNode.group, services: services) { channel, _, _ in
            try channel.pipeline.syncOperations.addHandler(Door(services))
        }.bind(host: "127.0.0.1", port: 0).get()
        let upNode = try await TestRelay.start(
            node: Self.a, directory: directory, connector: PlainConnector(address: door.localAddress)
        )
        let result: Result<Void, any Error>
        do { result = .success(try await body(upNode, downNode, door)) } catch { result = .failure(error) }
        try await upNode.stop()
        try? await door.close()
        try await downNode.stop()
        try result.get()
    }
}

/// Reads the head of a stream, as the nodes' listener does behind its certificates.
private final class Door: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var parser = RequestHeadParser()
    private let services: ConnectionServices

    init(_ services: ConnectionServices) {
        self.services = services
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var arrived = unwrapInboundIn(data)
        guard case .head(let head) = parser.feed(&arrived) else { return context.close(promise: nil) }
        let operations = context.pipeline.syncOperations
        do {
            let node = try #require(NodeID(rawValue: "a"))
            try NodeStreams(services: services).accept(head, leftover: arrived, from: node, on: context.channel)
        } catch {
            guard let refusal = error as? HTTPRefusal else { return context.close(promise: nil) }
            var (body, rest) = (RequestBodyReader(head.framing), arrived)
            while case .content = body.next(&rest) {}
            try? operations.addHandler(LingerHandler(ResponseHead.refusal(refusal), after: body))
        }
        operations.removeHandler(self, promise: nil)
    }
}

@available(*, unavailable)
extension Door: Sendable {}

/// Reaches the other node's listener as it is.
private struct PlainConnector: NodeConnector {
    let address: SocketAddress?

    func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        guard let address else { return loop.makeFailedFuture(ChannelError.eof) }
        return ClientBootstrap(group: loop)
            .channelInitializer { channel in channel.eventLoop.makeCompletedFuture { try initialize(channel) } }
            .connect(to: address)
    }
}
