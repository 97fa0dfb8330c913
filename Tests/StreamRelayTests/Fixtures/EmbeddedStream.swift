// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import RelayTestFixtures
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

/// The two halves of a stream on channels without sockets, one read at a time.
struct EmbeddedStream {
    let loop = EmbeddedEventLoop()
    let transfers = TestDirectory()
    let services: StreamServices
    let key = StreamKey(home: .alone, transfer: .random())

    init() {
        services = StreamServices(transfers: transfers, streams: StreamTable(), memory: StreamMemory())
    }

    /// A connected channel with `handler`.
    func channel(_ handler: any ChannelHandler) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.pipeline.syncOperations.addHandler(handler)
        return channel
    }

    /// The receiver's half, parked.
    func parked() throws -> (EmbeddedChannel, Pipe) {
        let channel = try channel(DownloadHandler(key, services: services))
        let place = try #require(services.streams.place(of: key))
        return (channel, place.stream())
    }

    /// The sender's half; `body` came with its head.
    func upload(into pipe: Pipe, length: Int? = nil, body: String = "") throws -> EmbeddedChannel {
        let framing = length.map { "Content-Length: \($0)" } ?? "Transfer-Encoding: chunked"
        var (parser, bytes) = (
            RequestHeadParser(), ByteBuffer(string: "PUT / HTTP/1.1\r\nHost: r\r\n\(framing)\r\n\r\n\(body)")
        )
        guard case .head(let head) = parser.feed(&bytes) else { throw ChannelError.eof }
        return try channel(UploadHandler(UploadRequest(head, leftover: bytes), into: pipe))
    }

    /// What was written to `channel` since the last time, write by write.
    static func writes(_ channel: EmbeddedChannel) throws -> [ByteBuffer] {
        var all: [ByteBuffer] = []
        while let next = try channel.readOutbound(as: ByteBuffer.self) { all.append(next) }
        return all
    }
}
