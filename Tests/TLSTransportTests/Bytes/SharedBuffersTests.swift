// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import TLSTransport

@Suite struct SharedBuffersTests {
    @Test(arguments: [1, 65_536, 100_000, TLSDefaults.sharedReceiveLength, TLSDefaults.sharedReceiveLength * 2])
    func aReadIsOfferedNoMoreThanItsLimit(limit: Int) {
        let buffer = SharedBuffers().takeReceiveBuffer(limit: limit)
        #expect(buffer.readableBytes == 0)
        #expect(limit...(limit.nextPowerOf2) ~= buffer.writableBytes)
        if limit <= TLSDefaults.sharedReceiveLength { #expect(buffer.writableBytes == limit) }
    }

    @Test func theMemoryOfAReadIsUsedAgain() {
        let shared = SharedBuffers()
        var buffer = shared.takeReceiveBuffer(limit: 1000)
        let memory = buffer.memory
        shared.giveBack(buffer)
        buffer = ByteBuffer()
        buffer = shared.takeReceiveBuffer(limit: 65_536)
        #expect(buffer.memory == memory)
        // It is in use now: the next caller gets another one.
        #expect(shared.takeReceiveBuffer(limit: 1000).memory != memory)
    }

    @Test func theMemoryOfAReadThatIsStillHeldIsNotUsedAgain() {
        let shared = SharedBuffers()
        var kept = shared.takeReceiveBuffer(limit: 1000)
        kept.writeString("kept")
        shared.giveBack(kept)
        var next = shared.takeReceiveBuffer(limit: 1000)
        #expect(next.memory != kept.memory)
        next.writeString("next")
        #expect(String(buffer: kept) == "kept")
    }

    @Test func theMemoryOfAPieceIsUsedAgainOnceItHasLeft() {
        let shared = SharedBuffers()
        var piece = shared.takePiece(capacity: 70_000)
        let (memory, capacity) = (piece.memory, piece.capacity)
        #expect(capacity == TLSDefaults.sharedPieceCapacity)
        shared.keep(piece)
        withExtendedLifetime(piece) { #expect(shared.takePiece(capacity: 70_000).memory != memory) }
        shared.keep(piece)
        piece = ByteBuffer()
        #expect(shared.takePiece(capacity: 70_000).memory == memory)
    }

    @Test func aPieceThatWaitsInAChannelDoesNotKeepTheOthersFromBeingUsed() {
        let shared = SharedBuffers()
        let waiting = shared.takePiece(capacity: 70_000)
        var others = (0..<3).map { _ in shared.takePiece(capacity: 70_000) }
        let memories = others.map(\.memory)
        for piece in [waiting] + others { shared.keep(piece) }
        others = []
        for turn in 0..<9 {
            let piece = shared.takePiece(capacity: 70_000)
            #expect(piece.memory == memories[turn % 3])
            shared.keep(piece)
        }
        withExtendedLifetime(waiting) {}
    }

    @Test func piecesThatNeverLeaveMakeRoomForOthers() {
        let shared = SharedBuffers()
        let stuck = (0..<TLSDefaults.sharedPieces).map { _ in shared.takePiece(capacity: 70_000) }
        for piece in stuck { shared.keep(piece) }
        var piece = shared.takePiece(capacity: 70_000)
        let memory = piece.memory
        #expect(!stuck.map(\.memory).contains(memory))
        shared.keep(piece)
        piece = ByteBuffer()
        #expect(shared.takePiece(capacity: 70_000).memory == memory)
        withExtendedLifetime(stuck) {}
    }

    @Test func onlySoManyPiecesAreKept() {
        let shared = SharedBuffers()
        var pieces = (0..<40).map { _ in shared.takePiece(capacity: 70_000) }
        let memories = pieces.map(\.memory)
        for piece in pieces { shared.keep(piece) }
        pieces = []
        let again = (0..<40).map { _ in shared.takePiece(capacity: 70_000) }
        let kept = again.prefix(TLSDefaults.sharedPieces).map(\.memory)
        #expect(kept == Array(memories.prefix(TLSDefaults.sharedPieces)))
    }

    @Test func eachPieceBecomesOneWriteThatFitsItsMemory() throws {
        let joined = try Fixture.open()
        let shared = SharedBuffers()
        joined.server.handler.share(shared)
        joined.client.handler.share(shared)
        let length = TLSDefaults.sharedPieceLength
        var expected = ByteBuffer()
        for seed in 1...9 {
            expected.writeImmutableBuffer(Fixture.bytes(length, seed: UInt64(seed)))
            joined.client.channel.write(Fixture.bytes(length, seed: UInt64(seed)), promise: nil)
        }
        joined.client.channel.flush()
        var read = ByteBuffer()
        var writes = 0
        while let piece = try joined.client.channel.readOutbound(as: ByteBuffer.self) {
            writes += 1
            #expect(piece.capacity == TLSDefaults.sharedPieceCapacity)
            read.writeImmutableBuffer(piece)
        }
        #expect(writes == 9)
        joined.server.channel.pipeline.fireChannelRead(read)
        joined.server.channel.pipeline.fireChannelReadComplete()
        #expect(joined.server.recorder.bytes == expected)
        #expect(joined.server.recorder.reads == Array(repeating: length, count: 9))
    }

    @Test(arguments: [1, 16_384, 65_536, 114_688, 114_689, 300_000, 1_048_576])
    func connectionsThatShareHoldNothingBetweenReads(count: Int) throws {
        let (one, other) = (try Fixture.open(), try Fixture.open())
        let shared = SharedBuffers()
        for end in [one.client, one.server, other.client, other.server] { end.handler.share(shared) }
        // Turns of two connections, and a frame before each content as in a chunked body.
        for seed in 1...3 {
            one.client.channel.write(ByteBuffer(string: "\r\n1c000\r\n"), promise: nil)
            one.client.write(Fixture.bytes(count, seed: UInt64(seed)))
            other.client.write(Fixture.bytes(count, seed: UInt64(seed + 10)))
            try one.pump()
            try other.pump()
        }
        var expected = ByteBuffer()
        for seed in 1...3 {
            expected.writeString("\r\n1c000\r\n")
            expected.writeImmutableBuffer(Fixture.bytes(count, seed: UInt64(seed)))
        }
        #expect(one.server.recorder.bytes == expected)
        expected.clear()
        for seed in 1...3 { expected.writeImmutableBuffer(Fixture.bytes(count, seed: UInt64(seed + 10))) }
        #expect(other.server.recorder.bytes == expected)
        for end in [one.client, one.server, other.client, other.server] {
            let store = end.handler.connection?.store
            #expect(store?.inbound.capacity == 0)
            #expect(store?.outbound.capacity == 0)
            #expect(end.handler.plaintext.capacity == 0)
        }
    }

    @Test func aSmallWriteHoldsMemoryOfItsSize() throws {
        let joined = try Fixture.open()
        joined.client.handler.share(SharedBuffers())
        joined.client.write(Fixture.bytes(1000))
        let ciphertext = try #require(try joined.client.channel.readOutbound(as: ByteBuffer.self))
        #expect(ciphertext.capacity <= 2048)
    }
}

extension ByteBuffer {
    /// Where its bytes are.
    fileprivate var memory: UInt { withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }
}

extension Int {
    fileprivate var nextPowerOf2: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
