// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import TestSupport
import Testing

@testable import Sealing

@Suite struct ChunkTests {
    private let keys: (sender: AttemptKeys, receiver: AttemptKeys)

    init() throws {
        var attempt = try Attempt()
        keys = try attempt.keys()
    }

    /// The chunks of `plaintext`, which is given in pieces.
    private func seal(_ plaintext: [UInt8], pieces: Int = .max, with keys: AttemptKeys? = nil) throws -> [ByteBuffer] {
        var sealer = ChunkSealer(of: keys ?? self.keys.sender)
        var chunks: [ByteBuffer] = []
        var rest = plaintext[...]
        while !rest.isEmpty {
            var piece = ByteBuffer(bytes: rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            while piece.readableBytes > 0 {
                sealer.append(&piece)
                if var work = try sealer.takeFull() {
                    try work.cipher.seal(&work.buffer)
                    chunks.append(work.buffer)
                }
            }
        }
        var last = try sealer.finish()
        try last.cipher.seal(&last.buffer)
        return chunks + [last.buffer]
    }

    /// The plaintext of a body, which comes in pieces.
    private func open(_ body: [UInt8], pieces: Int = .max, with keys: AttemptKeys? = nil) throws -> [UInt8] {
        var opener = ChunkOpener(of: keys ?? self.keys.receiver)
        var plaintext: [UInt8] = []
        var rest = body[...]
        while !rest.isEmpty {
            var piece = ByteBuffer(bytes: rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            while piece.readableBytes > 0 {
                guard var work = try opener.append(&piece) else { continue }
                try work.cipher.open(&work.buffer)
                plaintext += Array(work.buffer.readableBytesView)
            }
        }
        var last = try opener.finish()
        try last.cipher.open(&last.buffer)
        return plaintext + Array(last.buffer.readableBytesView)
    }

    private func body(_ chunks: [ByteBuffer]) -> [UInt8] { chunks.flatMap { Array($0.readableBytesView) } }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000], [1_000, 65_536, 65_552, Int.max])
    func carriesAnyLengthInAnyPieces(_ length: Int, _ pieces: Int) throws {
        var generator = SeededGenerator(seed: UInt64(length))
        let plaintext = generator.bytes(length)
        let sealed = body(try seal(plaintext, pieces: pieces))
        #expect(UInt64(sealed.count) == Chunk.bodyLength(of: UInt64(length)))
        #expect(try open(sealed, pieces: pieces) == plaintext)
    }

    @Test func chunksAreSealedAndOpenedInAnyOrder() throws {
        var numbers = (ChunkNumbers(of: keys.sender), ChunkNumbers(of: keys.receiver))
        let lengths = [65_536, 65_536, 65_536, 9]
        let sealers = try lengths.map { try numbers.0.next(plaintext: $0) }
        let openers = try lengths.map { try numbers.1.next(plaintext: $0) }
        for index in [2, 0, 3, 1] {
            var buffer = ByteBuffer(repeating: UInt8(index), count: lengths[index])
            try sealers[index].seal(&buffer)
            try openers[index].open(&buffer)
            #expect(buffer == ByteBuffer(repeating: UInt8(index), count: lengths[index]))
        }
    }

    @Test func sealsInPlace() throws {
        var sealer = ChunkSealer(of: keys.sender)
        sealer.write { buffer in _ = buffer.writeRepeatingByte(1, count: 65_536) }
        #expect(sealer.room == 0)
        var work = try #require(try sealer.takeFull())
        #expect(sealer.room == 65_536)
        let address = work.buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
        try work.cipher.seal(&work.buffer)
        #expect(work.buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) } == address)
    }

    @Test func chunksThatComeInPiecesUseMemoryAgainUnlessItIsKept() throws {
        let sealed = body(try seal([UInt8](0..<200).flatMap { [UInt8](repeating: $0, count: 1_400) }))
        var opener = ChunkOpener(of: keys.receiver)
        var (plaintext, addresses, kept) = (ByteBuffer(), [Int](), ByteBuffer())
        for start in stride(from: 0, to: sealed.count, by: 1_000) {
            var piece = ByteBuffer(bytes: sealed[start..<min(start + 1_000, sealed.count)])
            while piece.readableBytes > 0 {
                guard let work = try opener.append(&piece) else { continue }
                addresses.append(work.buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) })
                if addresses.count == 2 { kept = work.buffer }
                try work.cipher.open(work.buffer, into: &plaintext)
            }
        }
        let last = try opener.finish()
        try last.cipher.open(last.buffer, into: &plaintext)
        #expect(Array(plaintext.readableBytesView) == [UInt8](0..<200).flatMap { [UInt8](repeating: $0, count: 1_400) })
        #expect(addresses.count == 4 && addresses[0] == addresses[1] && addresses[2] == addresses[3])
        #expect(addresses[1] != addresses[2] && kept.readableBytes == Chunk.length)
        #expect(Array(kept.readableBytesView) == Array(sealed[Chunk.length..<2 * Chunk.length]))
    }

    @Test func whatDoesNotOpenLeavesNothingBehind() throws {
        var chunk = try seal([1, 2, 3])[0]
        chunk.setInteger(chunk.getInteger(at: 0, as: UInt8.self).map { $0 ^ 1 } ?? 0, at: 0)
        var opener = ChunkOpener(of: keys.receiver)
        #expect(try opener.append(&chunk)?.buffer == nil)
        let work = try opener.finish()
        var plaintext = ByteBuffer(string: "before")
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try work.cipher.open(work.buffer, into: &plaintext) }
        #expect(plaintext == ByteBuffer(string: "before"))
    }

    // MARK: - What is refused

    @Test func refusesAChunkThatIsAlteredAnywhere() throws {
        let sealed = body(try seal([UInt8](repeating: 1, count: 100)))
        for bit in 0..<sealed.count * 8 {
            var altered = sealed
            altered[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(altered) }
        }
    }

    @Test func refusesAStreamThatIsCutAnywhere() throws {
        let sealed = body(try seal([UInt8](repeating: 1, count: 65_600)))
        for length in [0, 1, 15] { #expect(throws: SealingError.cut) { try open(Array(sealed.prefix(length))) } }
        for length in [16, 1_000, 65_551, sealed.count - 1, 65_568] {
            #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(Array(sealed.prefix(length))) }
        }
        // Between two chunks, and in the tag of the last.
        for length in [65_552, 65_560] { #expect(throws: SealingError.cut) { try open(Array(sealed.prefix(length))) } }
    }

    @Test func refusesBytesBehindTheLastChunk() throws {
        let sealed = body(try seal([UInt8](repeating: 1, count: 100)))
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(sealed + [0]) }
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(sealed + sealed) }
        var opener = ChunkOpener(of: keys.receiver)
        var buffer = ByteBuffer(bytes: sealed)
        _ = try opener.append(&buffer)
        _ = try opener.finish()
        #expect(throws: SealingError.cut) { try opener.finish() }
        var more = ByteBuffer(repeating: 0, count: Chunk.length)
        #expect(throws: SealingError.behindLast) { try opener.append(&more) }
    }

    @Test func refusesChunksThatAreRepeatedSwappedOrLeftOut() throws {
        let chunks = try seal([UInt8](repeating: 1, count: 3 * 65_536 + 5))
        #expect(chunks.count == 4)
        for order in [[0, 0, 1, 2, 3], [1, 0, 2, 3], [0, 2, 3], [1, 2, 3], [0, 1, 3], [0, 1, 2, 2, 3], [3]] {
            #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(body(order.map { chunks[$0] })) }
        }
        #expect(throws: SealingError.cut) { try open(body(Array(chunks.dropLast()))) }
    }

    @Test func refusesTheLastChunkAsAnother() throws {
        // Sealed as the last one, and long enough to pass for another.
        var numbers = ChunkNumbers(of: keys.sender)
        let real = try numbers.next(plaintext: 65_536)
        var buffer = ByteBuffer(repeating: 1, count: 65_536)
        try ChunkCipher(key: real.key, number: 0, isLast: true).seal(&buffer)
        var rest = ByteBuffer()
        try numbers.next(plaintext: 0).seal(&rest)
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(body([buffer, rest])) }
    }

    @Test func refusesChunksOfAnotherAttempt() throws {
        var other = try Attempt(2)
        let otherKeys = try other.keys()
        let mine = try seal([UInt8](repeating: 1, count: 65_600))
        let theirs = try seal([UInt8](repeating: 1, count: 65_600), with: otherKeys.sender)
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(body([mine[0], theirs[1]])) }
        #expect(throws: SealingError.doesNotOpen(.chunk)) { try open(body([theirs[0], mine[1]])) }
        #expect(try open(body(theirs), with: otherKeys.receiver).count == 65_600)
    }

    @Test func takesANewKeyEach2To20Chunks() throws {
        let edge: UInt64 = 1 << 20
        var numbers = ChunkNumbers(content: keys.sender.content, first: edge - 1)
        let (before, after) = (try numbers.next(plaintext: 65_536), try numbers.next(plaintext: 65_536))
        #expect(before.key != after.key)
        #expect((before.number, after.number) == (edge - 1, edge))
        var fresh = ChunkNumbers(content: keys.sender.content, first: edge)
        #expect(try fresh.next(plaintext: 1).key == after.key)
        var end = ChunkNumbers(content: keys.sender.content, first: .max)
        #expect(throws: SealingError.tooManyChunks) { try end.next(plaintext: 1) }
    }

    @Test func aNonceIsUsedOnce() throws {
        var numbers = ChunkNumbers(of: keys.sender)
        #expect(throws: SealingError.behindLast) { try numbers.next(plaintext: 65_537) }
        _ = try numbers.next(plaintext: 65_535)
        #expect(numbers.isComplete)
        #expect(throws: SealingError.behindLast) { try numbers.next(plaintext: 0) }
        var sealer = ChunkSealer(of: keys.sender)
        _ = try sealer.finish()
        #expect(throws: SealingError.behindLast) { try sealer.finish() }
    }

    @Test func lengthsThatDoNotFitAreNone() {
        #expect(Chunk.bodyLength(of: 0) == 16)
        // Of one type: with a sum of literals, #expect compares AnyHashable, for which Swift reads beyond the optional.
        #expect(Chunk.bodyLength(of: 65_536) == UInt64(65_536 + 32))
        #expect(Chunk.bodyLength(of: .max) == nil)
    }
}
