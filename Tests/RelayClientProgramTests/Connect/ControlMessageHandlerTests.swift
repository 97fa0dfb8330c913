// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Whoever reads the messages hears of the connection's end, whenever that was.
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

    @Test(.timeLimit(.minutes(1))) func aConnectionThatEndedBeforeIsOver() async throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(handler)
        await #expect(throws: lost) { for try await _ in messages {} }
    }

    @Test(.timeLimit(.minutes(1))) func aHandlerThatGoesLeavesNobodyWaiting() async throws {
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try channel.pipeline.syncOperations.addHandler(handler)
        _ = try channel.finish(acceptAlreadyClosed: true)
        await #expect(throws: lost) { for try await _ in messages {} }
    }
}
