// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct RecordFramerTests {
    private static let full = StreamRecord.maximumDataLength

    /// Frames `pieces`, reads the result back, and returns content, record lengths and the length of the stream.
    private static func roundTrip(_ pieces: [Int], fillsRecords: Bool) -> (content: [UInt8], lengths: [Int], total: Int)
    {
        var framer = RecordFramer(fillsRecords: fillsRecords)
        var stream = ByteBuffer()
        let digest = Array(UInt8(1)...32)
        var byte: UInt8 = 0
        for piece in pieces {
            let bytes = (0..<piece).map { _ in
                byte &+= 1
                return byte
            }
            var framed = framer.frame(ByteBuffer(bytes: bytes))
            stream.writeBuffer(&framed)
        }
        var end = framer.finish(digest: digest)
        stream.writeBuffer(&end)
        let total = stream.readableBytes
        var lengths: [Int] = []
        var content: [UInt8] = []
        while let head: UInt32 = stream.readInteger() {
            let length = Int(head & 0xFF_FFFF)
            let body = stream.readBytes(length: length) ?? []
            if head >> 24 == 0 {
                lengths.append(length)
                content += body
            } else {
                #expect(body == digest)
                #expect(stream.readableBytes == 0)
            }
        }
        return (content, lengths, total)
    }

    @Test(arguments: [
        [], [1], [full], [full + 1], [full - 1, 2], [1, full - 1], [1, 1, full * 3, 5], [full * 2],
        [3, full * 2, full - 3],
        [full * 16, full * 16, 17],
    ])
    func fillsEveryRecordButTheLast(_ pieces: [Int]) {
        let size = pieces.reduce(0, +)
        let result = Self.roundTrip(pieces, fillsRecords: true)
        #expect(result.lengths.dropLast().allSatisfy { $0 == Self.full })
        #expect(result.lengths.reduce(0, +) == size)
        #expect(UInt64(result.total) == RecordEncoder.streamLength(size: UInt64(size)))
        #expect(result.content == (0..<size).map { UInt8(truncatingIfNeeded: $0 + 1) })
    }

    @Test(arguments: [[], [1], [1, 2, 3], [full + 1, 1], [full, full]])
    func keepsNothingBackOfAContentOfUnknownSize(_ pieces: [Int]) {
        let result = Self.roundTrip(pieces, fillsRecords: false)
        #expect(result.lengths == pieces.flatMap { $0 > Self.full ? [Self.full, $0 - Self.full] : [$0] })
    }
}
