// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import WSProtocol
import WebSocketTransport

@testable import RelayClientProgram
@testable import TransferClient

/// The reader of the messages hears of the connection's end, whenever that was.
struct ControlMessageHandlerTests {
    private let relay: RelayURL
    private let messages: ControlMessageHandler.Messages
    private let handler: ControlMessageHandler
    private let lost: ConnectionError

    init() throws {
        relay = try RelayURL("https://relay.example.com")
        let (messages, queue) = ControlMessageHandler.Messages.makeStream()
        self.messages = messages
        handler = ControlMessageHandler(queue: queue, relay: relay)
        lost = ConnectionError(closed: nil, reason: .lost, relay: relay)
    }

    @Test(.timeLimit(.minutes(5))) func aConnectionThatEndedBeforeIsOver() async throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(handler)
        await #expect(throws: lost) { for try await _ in messages {} }
    }

    @Test(.timeLimit(.minutes(5))) func aHandlerThatIsRemovedEndsTheMessages() async throws {
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try channel.pipeline.syncOperations.addHandler(handler)
        _ = try channel.finish(acceptAlreadyClosed: true)
        await #expect(throws: lost) { for try await _ in messages {} }
    }

    // MARK: - While the connection stands

    private func open() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try channel.pipeline.syncOperations.addHandler(handler)
        return channel
    }

    /// The messages that came before the end, and the end.
    private func everything() async -> (messages: [ServerMessage], end: ConnectionError?) {
        var all: [ServerMessage] = []
        do {
            for try await message in messages { all.append(message) }
        } catch {
            return (all, error as? ConnectionError)
        }
        return (all, nil)
    }

    @Test(.timeLimit(.minutes(5))) func messagesArriveInOrderBeforeTheEnd() async throws {
        let channel = try open()
        for id in ["a", "b"] { try channel.writeInbound(ByteBuffer(string: #"{"id":"\#(id)","type":"pong"}"#)) }
        channel.pipeline.fireUserInboundEventTriggered(
            WebSocketEvent.closed(code: WebSocketCloseCode.goingAway.rawValue, reason: .peer("bye")))
        let heard = await everything()
        #expect(heard.messages.count == 2)
        #expect(heard.end == ConnectionError(closed: 1001, reason: .peer("bye"), relay: relay))
    }

    @Test(.timeLimit(.minutes(5))) func aTypeThatALaterRelayMaySayIsPassedOver() async throws {
        let channel = try open()
        try channel.writeInbound(ByteBuffer(string: #"{"id":"a","type":"a_later_one"}"#))
        try channel.writeInbound(ByteBuffer(string: #"{"id":"a","type":"pong"}"#))
        _ = try channel.finish(acceptAlreadyClosed: true)
        let heard = await everything()
        #expect(heard.messages.count == 1 && heard.end == lost)
    }

    @Test(.timeLimit(.minutes(5)), arguments: ["", "{}", "[]", #"{"id":"a","type":"ok"#, #"{"id":"","type":"pong"}"#])
    func malformedMessagesEndTheConnection(_ text: String) async throws {
        let channel = try open()
        try channel.writeInbound(ByteBuffer(string: text))
        // What follows is not heard.
        try channel.writeInbound(ByteBuffer(string: #"{"id":"a","type":"pong"}"#))
        let heard = await everything()
        #expect(heard.messages.isEmpty && heard.end?.status == .protocolBreach)
    }

    @Test(.timeLimit(.minutes(5))) func aRelayThatSendsFasterThanIsReadIsLeft() async throws {
        let (messages, queue) = ControlMessageHandler.Messages.makeStream(bufferingPolicy: .bufferingOldest(3))
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try channel.pipeline.syncOperations.addHandler(ControlMessageHandler(queue: queue, relay: relay))
        for _ in 1...5 { try channel.writeInbound(ByteBuffer(string: #"{"id":"a","type":"pong"}"#)) }
        var count = 0
        do {
            for try await _ in messages { count += 1 }
        } catch {
            #expect((error as? ConnectionError)?.status == .protocolBreach)
        }
        #expect(count == 3)
    }
}
