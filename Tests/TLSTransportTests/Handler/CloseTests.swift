// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import TLSTransport

@Suite struct CloseTests {
    @Test func closeSendsCloseNotifyAfterTheLastByte() throws {
        let joined = try Fixture.open()
        joined.client.channel.write(Fixture.bytes(100_000), promise: nil)
        let closed = joined.client.promisedClose()
        try joined.pump()
        #expect(closed.isSuccess)
        #expect(!joined.client.channel.isActive)
        #expect(joined.server.recorder.bytes == Fixture.bytes(100_000))
        joined.server.channel.pipeline.fireChannelInactive()
        #expect(joined.server.recorder.events.last == .peerClosed)
        #expect(!joined.server.recorder.events.contains(.truncated))
    }

    @Test func closeWaitsForTheSocketButNotForEver() throws {
        for isSlow in [true, false] {
            let joined = try Fixture.open()
            let gate = Gate()
            try joined.client.channel.pipeline.syncOperations.addHandler(gate, position: .first)
            let write = joined.client.promisedWrite(ByteBuffer(string: "x"))
            let (first, second) = (joined.client.promisedClose(), joined.client.promisedClose())
            let late = joined.client.promisedWrite(ByteBuffer(string: "y"))
            #expect(late.error == TLSError(.closed))
            #expect(joined.client.channel.isActive && write.isPending && first.isPending)
            if isSlow { joined.loop.advanceTime(by: TLSDefaults.closeTimeout) } else { gate.open() }
            #expect(!joined.client.channel.isActive)
            #expect(first.isSuccess && second.isSuccess)
            #expect(write.isSuccess == !isSlow)
        }
    }

    @Test func abortSendsNoCloseNotify() throws {
        let joined = try Fixture.open()
        joined.client.write(ByteBuffer(string: "half"))
        joined.client.channel.pipeline.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        try joined.pump()
        #expect(!joined.client.channel.isActive)
        joined.server.channel.pipeline.fireChannelInactive()
        #expect(joined.server.recorder.bytes == ByteBuffer(string: "half"))
        #expect(joined.server.recorder.events.last == .truncated)
        #expect(!joined.server.recorder.events.contains(.peerClosed))
    }

    @Test func abortCutsACloseShort() throws {
        let joined = try Fixture.open()
        try joined.client.channel.pipeline.syncOperations.addHandler(Gate(), position: .first)
        let closed = joined.client.promisedClose()
        joined.client.channel.pipeline.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        #expect(!joined.client.channel.isActive)
        joined.loop.run()
        #expect(!closed.isPending)
    }

    @Test func anEndWithinARecordIsTruncation() throws {
        let joined = try Fixture.open()
        joined.client.write(Fixture.bytes(1000))
        var bytes = try JoinedChannels.takeAll(joined.client.channel)
        joined.server.channel.pipeline.fireChannelRead(bytes.readSlice(length: 500) ?? bytes)
        joined.server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        joined.server.channel.pipeline.fireChannelInactive()
        #expect(joined.server.recorder.events.dropFirst() == [.truncated])
        #expect(joined.server.recorder.bytes.readableBytes == 0)
    }

    @Test func oneDirectionCanBeClosed() throws {
        let joined = try Fixture.open()
        // The channel in memory cannot close one direction: this is as far as it gets.
        let socket = HalfClosing()
        try joined.client.channel.pipeline.syncOperations.addHandler(socket, position: .first)
        let half = joined.client.promisedClose(mode: .output)
        try joined.pump()
        #expect(joined.server.recorder.events.last == .peerClosed)
        joined.server.write(ByteBuffer(string: "more"))
        try joined.pump()
        #expect(joined.client.recorder.bytes == ByteBuffer(string: "more"))
        #expect(joined.client.promisedWrite(ByteBuffer(string: "x")).error == TLSError(.closed))
        #expect(half.isSuccess && socket.isHalfClosed)
    }

    @Test func whatFollowsCloseNotifyIsIgnored() throws {
        let joined = try Fixture.open()
        joined.client.channel.close(promise: nil)
        try joined.pump()
        joined.server.channel.pipeline.fireChannelRead(Fixture.bytes(100))
        #expect(joined.server.recorder.errors == [])
        #expect(joined.server.channel.isActive)
    }

    @Test func closingDuringTheHandshakeReportsNoError() throws {
        let joined = try Fixture.joined()
        let write = joined.client.promisedWrite(ByteBuffer(string: "x"))
        let closed = joined.client.promisedClose()
        #expect(closed.isSuccess)
        #expect(write.error == TLSError(.closed))
        #expect(joined.client.recorder.errors == [])
    }

    @Test func pendingWritesFailWhenTheHandlerGoes() throws {
        let joined = try Fixture.open()
        let promise = joined.loop.makePromise(of: Void.self)
        let outcome = Outcome(promise.futureResult)
        joined.client.channel.write(ByteBuffer(string: "x"), promise: promise)
        joined.client.channel.pipeline.syncOperations.removeHandler(joined.client.handler, promise: nil)
        #expect(outcome.error == TLSError(.closed))
    }

    @Test func aHandlerMayCloseOrDetachOrRemoveInsideARead() throws {
        for action in 0..<4 {
            let joined = try Fixture.open()
            let server = joined.server
            var handover: TLSHandover?
            server.recorder.onRead = { context in
                switch action {
                case 0: context.close(promise: nil)
                case 1: context.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
                case 2: context.pipeline.syncOperations.removeHandler(server.handler, promise: nil)
                default: handover = try? server.handler.detach()
                }
            }
            joined.client.write(ByteBuffer(string: "one"))
            joined.client.channel.close(promise: nil)
            let all = try JoinedChannels.takeAll(joined.client.channel)
            server.channel.pipeline.fireChannelRead(all)
            joined.loop.run()
            #expect(server.recorder.bytes == ByteBuffer(string: "one"))
            #expect(server.recorder.errors == [])
            #expect((handover != nil) == (action == 3))
        }
    }

    @Test func theSessionIsFreedWithItsHandler() throws {
        weak var connection: TLSConnection?
        do {
            let joined = try Fixture.open()
            connection = joined.server.handler.connection
            #expect(connection != nil)
            joined.server.channel.close(promise: nil)
            joined.loop.run()
        }
        #expect(connection == nil)
    }
}

/// A socket that can close its sending direction.
final class HalfClosing: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var isHalfClosed = false

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        isHalfClosed = true
        promise?.succeed()
    }
}
