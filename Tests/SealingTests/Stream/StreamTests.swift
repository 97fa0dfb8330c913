// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct StreamTests {
    private let attempt: Attempt

    init() throws { attempt = try Attempt() }

    @Test(arguments: SeededGenerator.seeds(30)) func anyTreeComesThroughInAnyPieces(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let tree = try RandomTree(seed: seed)
        let manifest = try StreamFixture.manifest(tree.entries, in: attempt)
        // A file of unknown size has no holes; these have no zero bytes either.
        let style = StreamFixture.Style(
            record: [7, 1_000, 1 << 20].randomElement(using: &generator) ?? 1, hasHoles: Bool.random(using: &generator)
        )
        let stream = manifest.bytes + StreamFixture.content(tree.files, style)
        let pieces = (0..<5).map { _ in Int.random(in: 1...3_000, using: &generator) }
        let expectation = StreamFixture.expectation(of: attempt, entries: UInt64(tree.entries.count))
        let contents = try StreamFixture.read(stream, expectation, pieces: pieces)
        #expect(
            contents == StreamContents(entries: tree.entries, files: tree.files, digest: manifest.digest),
            "seed \(seed)"
        )
    }

    /// Sealed and opened as well, in pieces of the network's choice.
    @Test(arguments: SeededGenerator.seeds(5)) func anyTreeComesThroughSealed(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var attempt = attempt
        let keys = try attempt.keys()
        let tree = try RandomTree(seed: seed)
        var plaintext = ByteBuffer(
            bytes: try StreamFixture.manifest(tree.entries, in: attempt).bytes + StreamFixture.content(tree.files)
        )
        var sealer = ChunkSealer(of: keys.sender)
        var body = ByteBuffer()
        while plaintext.readableBytes > 0 {
            sealer.append(&plaintext)
            if var work = try sealer.takeFull() {
                try work.cipher.seal(&work.buffer)
                body.writeBuffer(&work.buffer)
            }
        }
        var last = try sealer.finish()
        try last.cipher.seal(&last.buffer)
        body.writeBuffer(&last.buffer)
        var opener = ChunkOpener(of: keys.receiver)
        var opened: [UInt8] = []
        while body.readableBytes > 0 {
            let length = min(body.readableBytes, Int.random(in: 1...100_000, using: &generator))
            guard var piece = body.readSlice(length: length) else { break }
            while piece.readableBytes > 0 {
                guard var work = try opener.append(&piece) else { continue }
                try work.cipher.open(&work.buffer)
                opened += Array(work.buffer.readableBytesView)
            }
        }
        var end = try opener.finish()
        try end.cipher.open(&end.buffer)
        opened += Array(end.buffer.readableBytesView)
        let contents = try StreamFixture.read(opened, StreamFixture.expectation(of: attempt))
        #expect(contents.entries == tree.entries && contents.files == tree.files, "seed \(seed)")
    }

    @Test func goesOnFromAPosition() throws {
        let offer = try attempt.opened()
        let digest = [UInt8](repeating: 4, count: 32)
        var buffer = ByteBuffer()
        StreamEncoder.writeDigest(digest, into: &buffer)
        let stream = Array(buffer.readableBytesView) + StreamFixture.content([[3, 4], [5]])
        let files = [ExpectedFile(size: 4, offset: 2), ExpectedFile(size: nil)]
        let expectation = StreamExpectation(goingOnWith: offer, manifest: digest)
        for pieces in [[Int.max], [1]] {
            let contents = try StreamFixture.read(stream, expectation, pieces: pieces, resumed: files)
            #expect(contents.files == [[3, 4], [5]] && contents.digest == digest)
        }
        let other = StreamExpectation(goingOnWith: offer, manifest: [UInt8](repeating: 5, count: 32))
        #expect(throws: SealingError.sourceChanged) { try StreamFixture.read(stream, other, resumed: files) }
        // A manifest where its digest is due, and the other way round.
        let manifest = try StreamFixture.manifest([], in: attempt)
        #expect(throws: SealingError.manifest(.form(1))) { try StreamFixture.read(manifest.bytes, expectation) }
        #expect(throws: SealingError.manifest(.form(2))) {
            try StreamFixture.read(stream, StreamFixture.expectation(of: attempt))
        }
        #expect(StreamForm(at: .beginning) == .manifest)
        #expect(StreamForm(at: TransferPosition(file: 0, offset: 1)) == .digest)
    }

    @Test func paddingFillsAChunk() throws {
        let manifest = try StreamFixture.manifest([], in: attempt)
        for room in [1, 4, 5, 6, 100, 65_535, 65_536] {
            var buffer = ByteBuffer()
            StreamEncoder.writePadding(room: room, into: &buffer)
            #expect(buffer.readableBytes % Chunk.plaintextLength == room % Chunk.plaintextLength)
            let stream = manifest.bytes + Array(buffer.readableBytesView) + StreamFixture.content([])
            _ = try StreamFixture.read(stream, StreamFixture.expectation(of: attempt), pieces: [1_000])
        }
    }

    @Test func contentIsPassedOnUncopied() throws {
        var decoder = StreamDecoder(
            StreamExpectation(goingOnWith: try attempt.opened(), manifest: [UInt8](repeating: 4, count: 32))
        )
        var head = ByteBuffer()
        StreamEncoder.writeDigest([UInt8](repeating: 4, count: 32), into: &head)
        StreamEncoder.writeDataHead(length: 100_000, into: &head)
        decoder.append(head)
        #expect(try decoder.next() == .manifest([UInt8](repeating: 4, count: 32)))
        #expect(try decoder.next() == .nextFile)
        decoder.begin(ExpectedFile(size: 100_000))
        #expect(try decoder.next() == .needMore)
        let chunk = ByteBuffer(repeating: 1, count: 65_536)
        decoder.append(chunk)
        guard case .data(let data) = try decoder.next() else {
            Issue.record("no content")
            return
        }
        let addresses = [chunk, data].map { $0.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) } }
        #expect(addresses[0] == addresses[1] && data.readableBytes == 65_536)
    }

    @Test func memoryIsUsedAgainUnlessContentOfItIsKept() throws {
        let digest = [UInt8](repeating: 4, count: 32)
        var decoder = StreamDecoder(StreamExpectation(goingOnWith: try attempt.opened(), manifest: digest))
        var head = ByteBuffer()
        StreamEncoder.writeDigest(digest, into: &head)
        StreamEncoder.writeDataHead(length: 5 * 65_536, into: &head)
        decoder.append(head)
        #expect(try decoder.next() == .manifest(digest))
        #expect(try decoder.next() == .nextFile)
        decoder.begin(ExpectedFile(size: 5 * 65_536))
        #expect(try decoder.next() == .needMore)
        var (addresses, kept) = ([Int](), ByteBuffer())
        for number in UInt8(0)..<5 {
            decoder.append { buffer in _ = buffer.writeRepeatingByte(number, count: 65_536) }
            guard case .data(let data) = try decoder.next() else { break }
            addresses.append(data.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) })
            if number == 2 { kept = data }
            #expect(data == ByteBuffer(repeating: number, count: 65_536))
        }
        #expect(addresses.count == 5 && addresses[1] == addresses[2] && addresses[3] == addresses[4])
        #expect(addresses[2] != addresses[3] && kept == ByteBuffer(repeating: 2, count: 65_536))
    }

    // MARK: - Content that is refused

    private static let head = [UInt8](repeating: 4, count: 32)

    /// Reads content of one file of four bytes.
    private func read(_ content: [UInt8], size: UInt64? = 4) throws -> StreamContents {
        var buffer = ByteBuffer()
        StreamEncoder.writeDigest(Self.head, into: &buffer)
        let expectation = StreamExpectation(goingOnWith: try attempt.opened(), manifest: Self.head)
        return try StreamFixture.read(
            Array(buffer.readableBytesView) + content, expectation, resumed: [ExpectedFile(size: size)]
        )
    }

    private static let data: [UInt8] = [16, 0, 0, 0, 4, 1, 2, 3, 4]
    private static let fileEnd: [UInt8] = [18, 0, 0, 0, 0]
    private static let end: [UInt8] = [24, 0, 0, 0, 0]

    @Test func contentIsHeldToTheManifest() throws {
        let (data, fileEnd, end) = (Self.data, Self.fileEnd, Self.end)
        #expect(try read(data + fileEnd + end).files == [[1, 2, 3, 4]])
        let hole = { (length: UInt8) in [17, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, length] as [UInt8] }
        #expect(try read(hole(4) + fileEnd + end).files == [[0, 0, 0, 0]])
        for (content, fault) in [
            ([16, 0, 0, 0, 5], .fileLength), ([16, 255, 255, 255, 255], .fileLength),
            ([16, 0, 0, 0, 3, 1, 2, 3] + fileEnd, .fileLength), (fileEnd, .fileLength),
            (hole(5), .fileLength), (hole(0), .fileLength), (data + hole(1), .fileLength),
            ([16, 0, 0, 0, 0], .length(kind: 16, 0)), ([17, 0, 0, 0, 7], .length(kind: 17, 7)),
            ([18, 0, 0, 0, 1], .length(kind: 18, 1)), ([19, 0, 0, 0, 1], .length(kind: 19, 1)),
            (data + fileEnd + [24, 0, 0, 0, 1], .length(kind: 24, 1)), (end, .missingFiles),
            (data + end, .missingFiles),
            (data + fileEnd + data, .noFile), (data + fileEnd + fileEnd, .noFile), ([1, 0, 0, 0, 0], .kind(1)),
            ([8, 0, 0, 0, 0], .kind(8)), ([25, 0, 0, 0, 0], .kind(25)), ([0, 0, 0, 0, 0], .kind(0)),
            ([20, 0, 0, 0, 1, 1], .padding), ([20, 0, 1, 0, 1], .length(kind: 20, 65_537)),
            ([19, 0, 0, 0, 2, 0, 5], .reason(5)), ([19, 0, 0, 0, 2, 0, 0], .reason(0)),
            (data + fileEnd + end + [0], .behindEnd), (data + fileEnd + end + end, .behindEnd),
        ] as [([UInt8], ContentFault)] {
            let error = #expect(throws: SealingError.content(fault)) { try read(content) }
            #expect(error?.code == .protocolError)
        }
        // A file of unknown size is as long as it is, but has no holes.
        #expect(try read(data + data + fileEnd + end, size: nil).files == [[1, 2, 3, 4, 1, 2, 3, 4]])
        #expect(throws: SealingError.content(.fileLength)) { try read(hole(4) + fileEnd + end, size: nil) }
    }

    @Test(arguments: UnreadableReason.allCases) func aFileThatCannotBeReadEndsIt(_ reason: UnreadableReason) throws {
        var buffer = ByteBuffer()
        StreamEncoder.writeUnreadable(reason, into: &buffer)
        let error = #expect(throws: SealingError.unreadable(reason)) {
            try read([16, 0, 0, 0, 1, 1] + Array(buffer.readableBytesView))
        }
        #expect(error?.code == (reason == .cannotRead ? .cannotRead : .sourceChanged))
    }

    @Test func contentIsRefusedCutAnywhere() throws {
        let content = Self.data + Self.fileEnd + Self.end
        for length in 0..<content.count {
            #expect(throws: SealingError.content(.missingFiles)) { try read(Array(content.prefix(length))) }
        }
    }

    @Test func whatWasRefusedStaysRefused() throws {
        var decoder = StreamDecoder(StreamFixture.expectation(of: attempt))
        decoder.append(ByteBuffer(bytes: [9]))
        for _ in 0..<2 { #expect(throws: SealingError.manifest(.form(9))) { try decoder.next() } }
        decoder.append(ByteBuffer(bytes: [1]))
        #expect(throws: SealingError.manifest(.form(9))) { try decoder.next() }
    }

    /// Damage shows at the chunks' tags first; behind them a hostile sender is left, who seals what it likes.
    @Test func noInputEndsTheProcess() throws {
        let tree = try RandomTree(seed: 5)
        let stream = try StreamFixture.manifest(tree.entries, in: attempt).bytes + StreamFixture.content(tree.files)
        let short = try StreamFixture.manifest([], in: attempt).bytes + Self.end
        let expectation = StreamFixture.expectation(of: attempt)
        for input in HostileInputs(damaging: [Array(stream.prefix(400)), short], seed: 21, count: 1_000) {
            let whole = Result { try StreamFixture.read(input.bytes, expectation) }
            let pieces = Result { try StreamFixture.read(input.bytes, expectation, pieces: [1]) }
            #expect((try? whole.get()) == (try? pieces.get()), "\(input)")
        }
    }

    @Test func lengthsAreKnownBefore() {
        #expect(StreamEncoder.contentLength(of: 0) == 5)
        #expect(StreamEncoder.contentLength(of: 1) == 11)
        #expect(StreamEncoder.contentLength(of: 1 << 32) == UInt64((1 << 32) + 15))
        #expect(StreamEncoder.contentLength(of: .max) == nil)
    }
}
