// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import TransferBroker

@testable import StreamRelay

@Suite struct BodyWriterTests {
    private static let most = Defaults.Stream.gatherBelow

    @Test func aBodyOfKnownLengthIsWrittenAsItIs() {
        var writer = BodyWriter(length: 3)
        let (first, second) = writer.framed(ByteBuffer(string: "abc"))
        #expect(first == ByteBuffer(string: "abc"))
        #expect(second == nil)
        #expect(writer.end.readableBytes == 0)
    }

    @Test func smallChunksAreOneWriteAndLargeOnesAreNotCopied() {
        var writer = BodyWriter(length: nil)
        let (small, none) = writer.framed(ByteBuffer(string: "a"))
        #expect(small == ByteBuffer(string: "1\r\na"))
        #expect(none == nil)
        let content = ByteBuffer(repeating: 7, count: Self.most)
        let (prefix, large) = writer.framed(content)
        #expect(prefix == ByteBuffer(string: "\r\n1000\r\n"))
        #expect(large == content)
        #expect(writer.end == ByteBuffer(string: "\r\n0\r\n\r\n"))
    }
}
