// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import TransferClient
import WSProtocol

@Suite struct RecordCodecTests {
    private static let digest = Array(UInt8(1)...32)

    /// What one feed of a stream came to: its content joined, and how it ended.
    private struct Outcome: Hashable {
        var content: [UInt8] = []
        var digest: [UInt8]?
        var violation: StreamViolation?
    }

    private static func decode(_ pieces: [[UInt8]], size: UInt64?) -> Outcome {
        var decoder = RecordDecoder(size: size)
        var outcome = Outcome()
        for piece in pieces {
            var buffer = ByteBuffer(bytes: piece)
            feeding: while true {
                switch decoder.next(&buffer) {
                case .content(let slice):
                    #expect(slice.readableBytes > 0)
                    outcome.content += Array(slice.readableBytesView)
                case .end(let digest): outcome.digest = digest
                case .needMore:
                    #expect(buffer.readableBytes == 0)
                    break feeding
                case .violation(let violation):
                    outcome.violation = violation
                    #expect(decoder.next(&buffer) == .violation(violation))
                    return outcome
                }
            }
        }
        return outcome
    }

    /// Whole, byte by byte, and cut in two at random places.
    private static func expect(
        _ stream: [UInt8], size: UInt64? = nil, gives outcome: Outcome,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var generator = SeededGenerator(seed: 7)
        var feeds = [[stream], stream.map { [$0] }]
        for _ in 0..<16 {
            let cut = Int.random(in: 0...stream.count, using: &generator)
            feeds.append([Array(stream[..<cut]), Array(stream[cut...])])
        }
        for feed in feeds {
            #expect(decode(feed, size: size) == outcome, sourceLocation: sourceLocation)
        }
    }

    private static func stream(_ records: [[UInt8]], digest: [UInt8]? = digest) -> [UInt8] {
        var buffer = ByteBuffer()
        for record in records {
            #expect(RecordEncoder.writeDataHead(length: record.count, into: &buffer))
            buffer.writeBytes(record)
        }
        if let digest { #expect(RecordEncoder.writeEnd(digest: digest, into: &buffer)) }
        return Array(buffer.readableBytesView)
    }

    @Test func layoutIsTheDocuments() {
        #expect(Self.stream([[0xAA, 0xBB]], digest: nil) == [0, 0, 0, 2, 0xAA, 0xBB])
        #expect(Self.stream([]) == [1, 0, 0, 32] + Self.digest)
        #expect(Array(Self.stream([Array(repeating: 0, count: 65_536)], digest: nil).prefix(4)) == [0, 1, 0, 0])
    }

    @Test func contentComesOutAsItWentIn() {
        let records: [[UInt8]] = [Array(0...255), [1], Array(repeating: 9, count: 3000)]
        Self.expect(
            Self.stream(records), gives: Outcome(content: Array(records.joined()), digest: Self.digest)
        )
        Self.expect(
            Self.stream(records), size: 3257, gives: Outcome(content: Array(records.joined()), digest: Self.digest)
        )
        Self.expect(Self.stream([]), size: 0, gives: Outcome(digest: Self.digest))
    }

    @Test func longestRecordPasses() {
        let record = [UInt8](repeating: 3, count: 65_536)
        let outcome = Self.decode([Self.stream([record, record])], size: 131_072)
        #expect(outcome == Outcome(content: record + record, digest: Self.digest))
    }

    @Test func contentIsNotCopied() {
        var buffer = ByteBuffer(bytes: Self.stream([Array(0..<100)]))
        let before = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        var decoder = RecordDecoder(size: nil)
        guard case .content(let slice) = decoder.next(&buffer) else {
            Issue.record("no content")
            return
        }
        let after = slice.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(after == before + 4)
    }

    @Test func aCutStreamIsNotAtItsEnd() {
        let whole = Self.stream([[1, 2, 3]])
        for length in 0..<whole.count {
            #expect(Self.decode([Array(whole[..<length])], size: nil).digest == nil)
        }
    }

    @Test func everyBreachIsRefused() {
        Self.expect([2, 0, 0, 1, 0], gives: Outcome(violation: .unknownKind(2)))
        Self.expect([255, 0, 0, 1, 0], gives: Outcome(violation: .unknownKind(255)))
        Self.expect([0, 0, 0, 0], gives: Outcome(violation: .emptyRecord))
        Self.expect([0, 1, 0, 1], gives: Outcome(violation: .longRecord(65_537)))
        Self.expect([0, 255, 255, 255], gives: Outcome(violation: .longRecord(16_777_215)))
        Self.expect([1, 0, 0, 31], gives: Outcome(violation: .digestLength(31)))
        Self.expect([1, 0, 0, 0], gives: Outcome(violation: .digestLength(0)))
        Self.expect(
            Self.stream([[5]]) + [0],
            gives: Outcome(content: [5], digest: Self.digest, violation: .bytesAfterEnd)
        )
        Self.expect(
            Self.stream([[5, 6], [7, 8]]), size: 3, gives: Outcome(content: [5, 6], violation: .tooMuchContent)
        )
        Self.expect(Self.stream([[5]]), size: 0, gives: Outcome(violation: .tooMuchContent))
    }

    @Test func encoderRefusesWhatTheDecoderWould() {
        var buffer = ByteBuffer()
        #expect(!RecordEncoder.writeDataHead(length: 0, into: &buffer))
        #expect(!RecordEncoder.writeDataHead(length: -1, into: &buffer))
        #expect(!RecordEncoder.writeDataHead(length: 65_537, into: &buffer))
        #expect(!RecordEncoder.writeEnd(digest: Array(repeating: 0, count: 31), into: &buffer))
        #expect(buffer.readableBytes == 0)
    }

    @Test func streamLengthIsTheDocumentsFormula() {
        #expect(RecordEncoder.streamLength(size: 0) == 36)
        #expect(RecordEncoder.streamLength(size: 1) == 41)
        #expect(RecordEncoder.streamLength(size: 65_536) == 65_576)
        #expect(RecordEncoder.streamLength(size: 65_537) == 65_537 + 8 + 36)
        #expect(RecordEncoder.streamLength(size: .max) == nil)
        #expect(RecordEncoder.streamLength(size: .max - 1_100_000_000_000_000) == nil)
        #expect(RecordEncoder.streamLength(size: 1 << 62) == (1 << 62) + (1 << 48) + 36)
    }

    @Test func randomBytesNeverCrash() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<3000 {
            var bytes = generator.bytes(Int.random(in: 0...80, using: &generator))
            // Half of them start like a stream, so that they get further.
            if Bool.random(using: &generator) {
                bytes = Self.stream([[1, 2, 3]]) + bytes
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
            let whole = Self.decode([bytes], size: 64)
            #expect(Self.decode(bytes.map { [$0] }, size: 64) == whole)
            #expect(whole.content.count <= 64)
        }
    }
}
