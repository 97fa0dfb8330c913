// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// How many nodes are remembered, and for how long.
@Suite struct LinkTableTests {
    private let loop = EmbeddedEventLoop()
    private let inbox = TestInbox()
    private let table: LinkTable

    init() throws {
        let files = try TestNode.certificates
        let identity = try NodeIdentity(
            id: LinkSamples.b, incarnation: LinkSamples.endB.incarnation, authority: files.ca,
            certificate: files.node("b"), key: files.nodeKey("b"))
        var timing = LinkTiming()
        timing.loss = .zero
        table = LinkTable(
            identity: identity, addresses: TestBook(), loop: loop,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, timing: timing,
            heartbeat: .init(interval: .seconds(1), answerWithin: .seconds(1)), counts: LinkCounts())
        table.start(inbox)
    }

    /// The node calls; whether it is listened to.
    private func call(_ number: Int, leaving: Bool = true) throws -> Bool {
        let (node, channel) = (NodeID.test("n\(number)"), EmbeddedChannel(loop: loop))
        let connection = LinkConnection.inbound(UInt64(number))
        table.called(
            LinkFrame.Hello(
                node: node, incarnation: .random(), to: LinkSamples.b, toIncarnation: nil, association: 1),
            connection, on: channel)
        let isWelcome = try channel.readOutbound(as: ByteBuffer.self) != nil
        if leaving { table.disconnected(node, connection, silence: .zero) }
        return isWelcome
    }

    @Test func aNodeThatCalledAndLeftIsForgotten() throws {
        for number in 0..<Defaults.Link.nodes { #expect(try call(number)) }
        // They are lost now, and what they had is remembered to be over.
        loop.advanceTime(to: .now() + .seconds(1))
        #expect(try !call(Defaults.Link.nodes))
        loop.advanceTime(by: Defaults.Link.memory - .seconds(2))
        #expect(try !call(Defaults.Link.nodes))
        loop.advanceTime(by: .seconds(2))
        #expect(try call(Defaults.Link.nodes))
    }

    @Test func aConnectedNodeIsNotForgotten() throws {
        for number in 0..<Defaults.Link.nodes { #expect(try call(number, leaving: false)) }
        loop.advanceTime(to: .now() + Defaults.Link.memory + .seconds(1))
        #expect(try !call(Defaults.Link.nodes))
    }
}
