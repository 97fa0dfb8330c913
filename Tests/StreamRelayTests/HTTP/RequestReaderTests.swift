// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import TLSTransport
import Testing

@testable import StreamRelay

@Suite("Reading a request from a connection") struct RequestReaderTests {
    /// Holds back the end of its channel, as TLS does until its peer has heard of it.
    private final class SlowToClose: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            promise?.succeed()
        }
    }

    /// Decides nothing.
    private struct Undecided: RequestResponder {
        func respond(to head: RequestHead, _ reader: RequestReader) {}
        func refused(_ refusal: HTTPError) {}
        func failed(_ error: any Error, _ reader: RequestReader) {}
    }

    private static func reading() throws -> (EmbeddedChannel, RequestReader) {
        let reader = RequestReader(Undecided(), patience: .init(.seconds(10)))
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers(SlowToClose(), reader)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(string: "PUT /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n"))
        return (channel, reader)
    }

    @Test("a connection that is being closed has no channel for a responder that has decided meanwhile")
    func closing() throws {
        let (left, reader) = try Self.reading()
        #expect(reader.channel != nil)
        left.pipeline.fireUserInboundEventTriggered(TLSEvent.peerClosed)
        #expect(left.isActive && reader.channel == nil)

        let (failed, other) = try Self.reading()
        failed.pipeline.fireErrorCaught(ChannelError.inputClosed)
        #expect(failed.isActive && other.channel == nil)
    }
}
