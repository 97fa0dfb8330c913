// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Puts one line together out of whatever pieces it arrives in.
struct LineAssembler: Sendable {
    /// What a piece led to.
    enum Result: Hashable, Sendable {
        case needMore
        /// The line, without its line feed. What follows it is not looked at.
        case line(ByteBuffer)
        /// There is no line feed within the limit.
        case tooLong
    }

    /// The most bytes of a line, its line feed not counted.
    let limit: Int
    private var buffer = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    /// Takes the next piece.
    mutating func feed(_ piece: ByteBuffer) -> Result {
        // Of a piece larger than any line only the beginning is kept.
        let room = limit + 1 - min(buffer.readableBytes, limit)
        guard let kept = piece.getSlice(at: piece.readerIndex, length: min(room, piece.readableBytes)) else {
            return .needMore
        }
        let searched = buffer.readableBytes
        buffer.writeImmutableBuffer(kept)
        let view = buffer.readableBytesView
        if let end = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
            return .line(ByteBuffer(view[view.startIndex..<end]))
        }
        return buffer.readableBytes > limit ? .tooLong : .needMore
    }
}
