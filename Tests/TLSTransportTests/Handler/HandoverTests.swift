// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import TLSTransport

@Suite struct HandoverTests {
    /// Moves the server's session to a channel of its own.
    private func move(_ joined: JoinedChannels) throws -> End {
        try End(TLSHandler(adopting: try joined.server.handler.detach()), on: joined.loop)
    }

    private func exchange(_ client: End, _ server: End) throws {
        while try JoinedChannels.move(client.channel, server.channel)
            || JoinedChannels.move(server.channel, client.channel)
        {}
    }

    @Test func theConversationGoesOnInAnotherChannel() throws {
        let joined = try Fixture.open()
        joined.client.write(ByteBuffer(string: "one"))
        try joined.pump()
        let moved = try move(joined)
        joined.client.write(ByteBuffer(string: "two"))
        moved.write(ByteBuffer(string: "three"))
        try exchange(joined.client, moved)
        #expect(moved.recorder.bytes == ByteBuffer(string: "two"))
        #expect(joined.client.recorder.bytes == ByteBuffer(string: "three"))
        moved.channel.close(promise: nil)
        try exchange(joined.client, moved)
        #expect(joined.client.recorder.events.last == .peerClosed)
    }

    @Test func whatWasReadInPartGoesAlong() throws {
        let joined = try Fixture.open()
        joined.client.write(Fixture.bytes(30_000))
        var all = try JoinedChannels.takeAll(joined.client.channel)
        joined.server.channel.pipeline.fireChannelRead(all.readSlice(length: 20_000) ?? ByteBuffer())
        let moved = try move(joined)
        moved.channel.pipeline.fireChannelRead(all)
        var bytes = joined.server.recorder.bytes
        #expect(bytes.readableBytes > 0)
        bytes.writeImmutableBuffer(moved.recorder.bytes)
        #expect(bytes == Fixture.bytes(30_000))
    }

    @Test func dataThatCameDuringTheHandoverIsDeliveredAtTheFirstRead() throws {
        let joined = try Fixture.open()
        joined.client.write(ByteBuffer(string: "late"))
        let handover = try joined.server.handler.detach()
        _ = try JoinedChannels.move(joined.client.channel, joined.server.channel)
        #expect(joined.server.recorder.bytes.readableBytes == 0)
        let moved = try End(TLSHandler(adopting: handover), on: joined.loop, active: false)
        moved.channel.connect(to: try SocketAddress(unixDomainSocketPath: "/none"), promise: nil)
        #expect(moved.recorder.bytes.readableBytes == 0)
        moved.channel.read()
        #expect(moved.recorder.bytes == ByteBuffer(string: "late"))
        #expect(moved.recorder.completeReads > 0)
    }

    @Test func aHandlerAddedToAnActiveChannelDeliversSoon() throws {
        let joined = try Fixture.open()
        joined.client.write(ByteBuffer(string: "late"))
        let handover = try joined.server.handler.detach()
        _ = try JoinedChannels.move(joined.client.channel, joined.server.channel)
        let channel = EmbeddedChannel(loop: joined.loop)
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/none"), promise: nil)
        let recorder = Recorder()
        try channel.pipeline.syncOperations.addHandler(TLSHandler(adopting: handover))
        try channel.pipeline.syncOperations.addHandler(recorder)
        joined.loop.run()
        #expect(recorder.bytes == ByteBuffer(string: "late"))
    }

    @Test func anEndDuringTheHandoverIsReportedAsCleanOrTruncated() throws {
        for isClean in [true, false] {
            let joined = try Fixture.open()
            joined.client.write(ByteBuffer(string: "late"))
            if isClean { joined.client.channel.close(promise: nil) }
            let handover = try joined.server.handler.detach()
            _ = try JoinedChannels.move(joined.client.channel, joined.server.channel)
            let moved = try End(TLSHandler(adopting: handover), on: joined.loop, active: false)
            moved.channel.pipeline.fireChannelInactive()
            #expect(moved.recorder.bytes == ByteBuffer(string: "late"))
            #expect(moved.recorder.events == [isClean ? .peerClosed : .truncated])
        }
    }

    @Test func theOldHandlerNeverWritesPlaintext() throws {
        let joined = try Fixture.open()
        let flushed = joined.server.channel.eventLoop.makePromise(of: Void.self)
        let before = Outcome(flushed.futureResult)
        joined.server.channel.write(ByteBuffer(string: "before"), promise: flushed)
        let handover = try joined.server.handler.detach()
        #expect(before.isSuccess)
        let write = joined.server.promisedWrite(ByteBuffer(string: "in the clear"))
        #expect(write.error == TLSError(.closed))
        try joined.pump()
        #expect(joined.client.recorder.bytes == ByteBuffer(string: "before"))
        joined.server.channel.close(promise: nil)
        #expect(try joined.server.channel.readOutbound(as: ByteBuffer.self) == nil)
        #expect(joined.server.recorder.events.count == 1)
        _ = handover
    }

    @Test func onlyALiveSessionIsHandedOverAndOnlyOnce() throws {
        let joined = try Fixture.joined()
        #expect(throws: TLSError(.closed)) { try joined.server.handler.detach() }
        try joined.pump()
        let handover = try joined.server.handler.detach()
        #expect(throws: TLSError(.closed)) { try joined.server.handler.detach() }
        _ = try End(TLSHandler(adopting: handover), on: joined.loop)
        let second = try End(TLSHandler(adopting: handover), on: joined.loop)
        #expect(second.recorder.errors.map(\.code) == [.closed])
        #expect(!second.channel.isActive)
    }
}
