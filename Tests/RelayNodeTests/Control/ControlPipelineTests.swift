// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import WSProtocol

@testable import RelayNode

@Suite struct ControlPipelineTests {
    /// A masked text frame (RFC 6455, section 5.2) of fewer than 126 bytes.
    private func frame(_ text: String) -> ByteBuffer {
        let mask: [UInt8] = [1, 2, 3, 4]
        let masked = text.utf8.enumerated().map { $1 ^ mask[$0 % 4] }
        return ByteBuffer(bytes: [0x81, 0x80 | UInt8(masked.count)] + mask + masked)
    }

    @Test func theWholePipelineSpeaks() throws {
        let services = ControlServices(broker: BrokerService(), directory: FakeDirectory(), registration: .open)
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/test")).wait()
        try ControlPipeline(services: services).install(
            on: channel, audience: "relay.example", client: ClientAddress(text: "test", share: nil),
            loggedIn: { Issue.record("no client has logged in") }
        )
        func written() throws -> String {
            var text = ""
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
            return text
        }
        #expect(try written().contains(#""type":"challenge""#))
        try channel.writeInbound(frame(#"{"type":"ping","id":"c1"}"#))
        #expect(try written().contains(#""code":"not_now""#))
        #expect(services.broker.connections == 1)
        // The login's deadline: a close frame with code 4401.
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        let close = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(Array(close.readableBytesView.prefix(1)) == [0x88])
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(services.broker.connections == 0)
    }
}
