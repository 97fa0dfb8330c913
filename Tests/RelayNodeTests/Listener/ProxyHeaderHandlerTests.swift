// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import ServerSystem
import StreamRelay
import Synchronization
import Testing

@testable import RelayNode

@Suite("PROXY headers in a pipeline")
struct ProxyHeaderHandlerTests {
    private let admission = Admission(descriptorLimit: 1000, unauthenticatedPerAddress: 2)
    private let log = Lines()
    private let peers = TrustedPeers()
    private let header = Array("PROXY TCP4 192.0.2.7 198.51.100.2 1 443\r\n".utf8)

    private func channel() throws -> (EmbeddedChannel, ConnectionLease) {
        let (_, ticket) = admission.connectionOpened(from: nil)
        let handler = Recorder(lines: log)
        let logger = Logger(label: "test", factory: { _ in handler })
        let channel = EmbeddedChannel(handler: ProxyHeaderHandler(lease: ticket, peers: peers, logger: logger))
        try channel.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 1)).wait()
        return (channel, ticket)
    }

    private func isGone(_ channel: EmbeddedChannel) -> Bool {
        (try? channel.pipeline.syncOperations.handler(type: ProxyHeaderHandler.self)) == nil
    }

    @Test("what follows is passed on untouched, and the handler leaves, wherever the bytes are split")
    func everySplit() throws {
        let bytes = header + Array("hello".utf8)
        for split in bytes.indices {
            let (channel, ticket) = try channel()
            try channel.writeInbound(ByteBuffer(bytes: bytes[..<split]))
            try channel.writeInbound(ByteBuffer(bytes: bytes[split...]))
            var received = ByteBuffer()
            while var more = try channel.readInbound(as: ByteBuffer.self) { received.writeBuffer(&more) }
            #expect(String(buffer: received) == "hello")
            #expect(isGone(channel))
            #expect(ticket.client == "192.0.2.7")
            #expect(channel.isActive)
            try channel.writeInbound(ByteBuffer(string: "more"))
            #expect(try channel.readInbound(as: ByteBuffer.self).map { String(buffer: $0) } == "more")
            ticket.drop()
        }
    }

    @Test("a balancer that speaks for itself is known by its own address")
    func balancer() throws {
        let (channel, ticket) = try channel()
        try channel.writeInbound(ByteBuffer(bytes: ProxyHeaderTests.binary(0x20, 0, [])))
        #expect(isGone(channel))
        #expect(ticket.client == "10.0.0.1")
        #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
    }

    @Test("without a good header the connection is closed, and the log says why, loudly once")
    func refused() throws {
        for (bytes, why) in [("GET / HTTP/1.1\r\n\r\n", "there is none"), ("PROXY nonsense\r\n", "TCP4|TCP6")] {
            let (channel, ticket) = try channel()
            try channel.writeInbound(ByteBuffer(string: bytes))
            #expect(!channel.isActive)
            #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
            #expect(log.all.last?.contains(why) == true)
            #expect(ticket.client == nil)
        }
        #expect(log.all.count == 2)
        #expect(log.all.filter { $0.contains("send-proxy-v2") }.count == 1)
    }

    @Test("too many unauthenticated connections of one address behind the balancer are closed, others are not")
    func limited() throws {
        let open = try (0..<3).map { _ in
            let (channel, _) = try channel()
            try channel.writeInbound(ByteBuffer(bytes: header))
            return channel.isActive
        }
        #expect(open == [true, true, false])
        let (other, _) = try channel()
        try other.writeInbound(ByteBuffer(string: "PROXY TCP4 192.0.2.8 198.51.100.2 1 443\r\n"))
        #expect(other.isActive)
        let (local, _) = try channel()
        try local.writeInbound(ByteBuffer(string: "PROXY TCP4 127.0.0.1 198.51.100.2 1 443\r\n"))
        #expect(local.isActive)
    }

    @Test("of several forwarded addresses the last one counts")
    func forwarded() throws {
        func client(_ values: String...) throws -> String? {
            var text = "GET / HTTP/1.1\r\nHost: r\r\n"
            for value in values { text += "X-Forwarded-For: \(value)\r\n" }
            var parser = RequestHeadParser()
            var buffer = ByteBuffer(string: text + "\r\n")
            guard case .head(let head) = parser.feed(&buffer) else { return "no head" }
            return TrustedPeers.client(of: head)?.ipAddress
        }
        #expect(try client("192.0.2.1") == "192.0.2.1")
        #expect(try client("203.0.113.9, 192.0.2.1") == "192.0.2.1")
        #expect(try client("203.0.113.9", "2001:DB8::1") == "2001:db8::1")
        #expect(try client() == nil)
        #expect(try client("192.0.2.1, unknown") == nil)
        #expect(try client("192.0.2.1:80") == nil)
    }

    @Test("a peer is believed only where it is listed")
    func origins() throws {
        let peers = TrustedPeers(
            sendingHeader: [AddressRange("10.0.0.0/8")].compactMap(\.self),
            sendingField: [AddressRange("0.0.0.0/0")].compactMap(\.self)
        )
        #expect(peers.origin(for: try SocketAddress(ipAddress: "10.1.1.1", port: 1)) == .header)
        #expect(peers.origin(for: try SocketAddress(ipAddress: "192.0.2.1", port: 1)) == .field)
        #expect(peers.origin(for: try SocketAddress(ipAddress: "::1", port: 1)) == .connection)
        #expect(peers.origin(for: nil) == .connection)
    }

    /// Keeps what is logged.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }

        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }
    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.append("\(event.message) \(event.metadata ?? [:])") }
    }
}
