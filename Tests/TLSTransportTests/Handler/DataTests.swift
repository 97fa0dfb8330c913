// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import TLSTransport

@Suite struct DataTests {
    @Test(arguments: [1, 2, 1000, 16_383, 16_384, 16_385, 65_536, 100_000, 300_000])
    func dataOfAnyLengthArrivesWhole(count: Int) throws {
        let joined = try Fixture.open()
        joined.client.write(Fixture.bytes(count))
        joined.server.write(Fixture.bytes(count, seed: 2))
        try joined.pump()
        #expect(joined.server.recorder.bytes == Fixture.bytes(count))
        #expect(joined.client.recorder.bytes == Fixture.bytes(count, seed: 2))
    }

    @Test func plaintextComesInBoundedPieces() throws {
        let joined = try Fixture.open()
        joined.client.write(Fixture.bytes(60_000))
        try joined.pump()
        joined.client.write(Fixture.bytes(100_000))
        try joined.pump()
        #expect(joined.server.recorder.reads == [60_000, 65_536, 34_464])
    }

    @Test func oneFlushIsOneWrite() throws {
        let joined = try Fixture.open()
        for _ in 0..<10 { joined.client.channel.write(ByteBuffer(string: "part"), promise: nil) }
        #expect(try joined.client.channel.readOutbound(as: ByteBuffer.self) == nil)
        joined.client.channel.flush()
        #expect(try joined.client.channel.readOutbound(as: ByteBuffer.self) != nil)
        #expect(try joined.client.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test func whatIsNotFlushedIsCountedByTheChannelInTheEnd() throws {
        let joined = try Fixture.open()
        let gate = Gate()
        try joined.client.channel.pipeline.syncOperations.addHandler(gate, position: .first)
        for _ in 0..<8 { joined.client.channel.write(Fixture.bytes(TLSDefaults.gatherLimit / 4), promise: nil) }
        #expect(gate.bytes > TLSDefaults.gatherLimit)
    }

    @Test func manyBuffersArriveInOrder() throws {
        let joined = try Fixture.open()
        var expected = ByteBuffer()
        for seed in 0..<60 {
            let part = Fixture.bytes((seed * 7919) % 40_000, seed: UInt64(seed))
            expected.writeImmutableBuffer(part)
            joined.client.channel.write(part, promise: nil)
            if seed % 3 == 0 { joined.client.channel.flush() }
            if seed % 5 == 0 { try joined.pump() }
        }
        joined.client.channel.flush()
        try joined.pump()
        #expect(joined.server.recorder.bytes == expected)
    }

    @Test func aBufferThatIsStillHeldIsNotWrittenOver() throws {
        let joined = try Fixture.open()
        var kept: [ByteBuffer] = []
        let collector = BufferCollector { kept.append($0) }
        try joined.server.channel.pipeline.syncOperations.addHandler(collector, position: .after(joined.server.handler))
        for seed in 1...5 {
            joined.client.write(Fixture.bytes(5000, seed: UInt64(seed)))
            try joined.pump()
        }
        #expect(kept == (1...5).map { Fixture.bytes(5000, seed: $0) })
    }

    @Test func ciphertextTheChannelStillHoldsIsNotWrittenOver() throws {
        let joined = try Fixture.open()
        for seed in 1...5 { joined.client.write(Fixture.bytes(5000, seed: UInt64(seed))) }
        try joined.pump()
        var expected = ByteBuffer()
        for seed in 1...5 { expected.writeImmutableBuffer(Fixture.bytes(5000, seed: UInt64(seed))) }
        #expect(joined.server.recorder.bytes == expected)
    }

    @Test func aWriteSucceedsWhenItsCiphertextHasLeft() throws {
        let joined = try Fixture.open()
        let gate = Gate()
        try joined.client.channel.pipeline.syncOperations.addHandler(gate, position: .first)
        let outcomes = (0..<3).map { _ in joined.client.promisedWrite(ByteBuffer(string: "x")) }
        let empty = joined.client.promisedWrite(ByteBuffer())
        #expect(outcomes.allSatisfy { $0.isPending } && empty.isPending)
        gate.open()
        #expect(outcomes.allSatisfy { $0.isSuccess } && empty.isSuccess)
    }

    @Test func memoryCanBeGivenBack() throws {
        let joined = try Fixture.open()
        joined.client.handler.releaseBuffersWhenIdle()
        joined.server.handler.releaseBuffersWhenIdle()
        for count in [1, 300, 3000, 70_000] {
            joined.client.write(Fixture.bytes(count))
            joined.server.write(Fixture.bytes(count))
        }
        try joined.pump()
        #expect(joined.server.recorder.bytes.readableBytes == 73_301)
        #expect(joined.client.recorder.bytes.readableBytes == 73_301)
        #expect(joined.server.handler.plaintext.capacity == 0)
        #expect(joined.server.handler.connection?.store.outbound.capacity == 0)
    }

    @Test func aKeyUpdateOfThePeerIsAnswered() throws {
        let joined = try Fixture.open()
        #expect(joined.client.handler.connection?.requestKeyUpdate() == true)
        joined.client.write(ByteBuffer(string: "new key"))
        try joined.pump()
        joined.server.write(ByteBuffer(string: "answer"))
        try joined.pump()
        #expect(joined.server.recorder.bytes == ByteBuffer(string: "new key"))
        #expect(joined.client.recorder.bytes == ByteBuffer(string: "answer"))
    }

    @Test func answersToAPeerThatReadsNothingDoNotPileUp() throws {
        let joined = try Fixture.open()
        joined.server.channel.isWritable = false
        // Slowly enough for their pace.
        var time = NIODeadline.now()
        joined.server.handler.connection?.messages.clock = { time }
        for _ in 0..<200 {
            time = time + .seconds(1)
            guard joined.client.handler.connection?.requestKeyUpdate() == true else { break }
            joined.client.write(ByteBuffer(string: "x"))
            _ = try JoinedChannels.move(joined.client.channel, joined.server.channel)
        }
        #expect(try JoinedChannels.takeAll(joined.server.channel).readableBytes < 8192)
    }

    @Test func keyUpdatesHaveAPace() throws {
        let joined = try Fixture.open()
        var time = NIODeadline.now()
        for end in [joined.client, joined.server] { end.handler.connection?.messages.clock = { time } }
        for _ in 0..<200 {
            time = time + .seconds(1)
            #expect(joined.client.handler.connection?.requestKeyUpdate() == true)
            joined.client.write(ByteBuffer(string: "x"))
            try joined.pump()
        }
        #expect(joined.server.recorder.bytes.readableBytes == 200)
        #expect(joined.server.recorder.errors.isEmpty)
    }

    @Test func floodOfKeyUpdatesEndsTheSessionAndTheRestIsDroppedUnread() throws {
        let met = Mutex(0)
        let joined = try Fixture.open(observer: TLSObserver(limitMet: { met.withLock { $0 += 1 } }))
        let time = NIODeadline.now()
        joined.server.handler.connection?.messages.clock = { time }
        for _ in 0..<5000 {
            guard joined.client.handler.connection?.requestKeyUpdate() == true else { break }
            joined.client.write(ByteBuffer())
        }
        joined.client.write(ByteBuffer(string: "x"))
        // One read of the socket brings them all.
        let flood = try JoinedChannels.takeAll(joined.client.channel)
        #expect(flood.readableBytes > 100_000)
        joined.server.channel.pipeline.fireChannelRead(flood)
        #expect(joined.server.recorder.errors.map(\.code) == [.messageLimit])
        #expect(joined.server.recorder.bytes.readableBytes == 0)
        #expect(!joined.server.channel.isActive)
        #expect(met.withLock { $0 } == 1)
        // What OpenSSL had in its own buffer is all that was answered.
        #expect(try JoinedChannels.takeAll(joined.server.channel).readableBytes < 17 * 1024 * 2)
    }

    @Test func changedDataIsNoticedAndWhatCameBeforeIsDelivered() throws {
        let joined = try Fixture.open()
        joined.client.write(ByteBuffer(string: "good"))
        joined.client.write(ByteBuffer(string: "bad"))
        var bytes = try JoinedChannels.takeAll(joined.client.channel)
        bytes.setInteger(UInt8(bytes.readableBytesView.last ?? 0) ^ 1, at: bytes.writerIndex - 1)
        joined.server.channel.pipeline.fireChannelRead(bytes)
        #expect(joined.server.recorder.bytes == ByteBuffer(string: "good"))
        #expect(joined.server.recorder.errors.map(\.code) == [.protocolViolation])
        #expect(!joined.server.channel.isActive)
        // The alert tells the client, which reports it, and nothing is called a clean end.
        try joined.pump()
        #expect(joined.client.recorder.errors.map(\.code) == [.alertReceived])
        #expect(!joined.client.recorder.events.contains(.peerClosed))
    }

    @Test func randomBytesNeverCrash() throws {
        for seed in 0..<64 as Range<UInt64> {
            let joined = try seed % 2 == 0 ? Fixture.open() : Fixture.joined()
            var bytes = Fixture.bytes(Int(seed * 37 % 2000) + 1, seed: seed)
            // Half of them look like a record at first.
            if seed % 4 < 2 { bytes.setBytes([UInt8(20 + seed % 5), 3, 3, 0, UInt8(seed % 256)], at: 0) }
            joined.server.channel.pipeline.fireChannelRead(bytes)
            joined.client.channel.pipeline.fireChannelRead(bytes)
            joined.server.channel.pipeline.fireChannelInactive()
            joined.client.channel.pipeline.fireChannelInactive()
            #expect(joined.server.recorder.bytes.readableBytes == 0)
            #expect(!joined.server.recorder.events.contains(.peerClosed))
        }
    }

    @Test func damagedFlightsNeverCrash() throws {
        for seed in 0..<64 {
            let joined = try Fixture.joined()
            for step in 0..<6 {
                let (from, to) = step % 2 == 0 ? (joined.client, joined.server) : (joined.server, joined.client)
                var bytes = try JoinedChannels.takeAll(from.channel)
                guard bytes.readableBytes > 0, to.channel.isActive else { continue }
                if step == seed % 4 {
                    let index = (seed * 7919) % bytes.readableBytes
                    bytes.setInteger(UInt8(truncatingIfNeeded: seed &* 31), at: index)
                }
                to.channel.pipeline.fireChannelRead(bytes)
            }
            #expect(joined.client.recorder.bytes.readableBytes == 0)
        }
    }
}

/// Shows each read to a test and passes it on.
final class BufferCollector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let keep: (ByteBuffer) -> Void

    init(_ keep: @escaping (ByteBuffer) -> Void) { self.keep = keep }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        keep(Self.unwrapInboundIn(data))
        context.fireChannelRead(data)
    }
}
