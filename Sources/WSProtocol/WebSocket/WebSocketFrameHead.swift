// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// What stands in front of a frame's content (RFC 6455, section 5.2).
///
/// It is read from the bytes where they lie: nothing is copied or allocated before the owner has decided that the frame
/// may come in at all.
package struct WebSocketFrameHead: Hashable, Sendable {
    package let isFinal: Bool
    package let hasReservedBits: Bool
    /// Four bits.
    package let opcode: UInt8
    /// Where the mask begins, counted from the frame's first byte; nil without one.
    private let maskOffset: Int?
    /// Where the content begins, counted from the frame's first byte.
    private let contentOffset: Int
    /// Bytes of content.
    package let length: Int

    /// Reads the head at the beginning of `bytes`.
    ///
    /// - Returns: nil when it is not complete yet.
    /// - Throws: what makes the frame one that is not to be waited for.
    package init?(_ bytes: ByteBuffer, longest: Int) throws(WebSocketViolation) {
        let start = bytes.readerIndex
        guard let first = bytes.getInteger(at: start, as: UInt8.self),
            let second = bytes.getInteger(at: start + 1, as: UInt8.self)
        else { return nil }
        isFinal = first & 0x80 != 0
        hasReservedBits = first & 0x70 != 0
        opcode = first & 0x0F
        let short = second & 0x7F
        let lengthEnd: Int
        switch short {
        case 126:
            guard let long = bytes.getInteger(at: start + 2, as: UInt16.self) else { return nil }
            (length, lengthEnd) = (Int(long), 4)
        case 127:
            guard let long = bytes.getInteger(at: start + 2, as: UInt64.self) else { return nil }
            guard long <= UInt64(longest) else { throw .messageTooLong }
            (length, lengthEnd) = (Int(long), 10)
        default: (length, lengthEnd) = (Int(short), 2)
        }
        let isMasked = second & 0x80 != 0
        maskOffset = isMasked ? lengthEnd : nil
        contentOffset = isMasked ? lengthEnd + 4 : lengthEnd
        guard length <= longest else { throw .messageTooLong }
        if isControl {
            guard isFinal else { throw .fragmentedControlFrame }
            guard short < 126 else { throw .longControlFrame }
        }
    }

    /// Whether it is a ping, a pong or a close, or an opcode kept for more of them.
    package var isControl: Bool { opcode & 0x8 != 0 }

    /// Whether all of the frame is in `bytes`, which begin with this head.
    package func isComplete(in bytes: ByteBuffer) -> Bool { bytes.readableBytes >= contentOffset + length }

    /// Takes the frame out of `bytes`, which begin with this head; nil when it is not complete.
    package func takeFrame(from bytes: inout ByteBuffer) -> WebSocketRules.Frame? {
        guard isComplete(in: bytes) else { return nil }
        let mask = maskOffset.flatMap { bytes.getBytes(at: bytes.readerIndex + $0, length: 4) }
        bytes.moveReaderIndex(forwardBy: contentOffset)
        guard var content = bytes.readSlice(length: length) else { return nil }
        if let mask, length > 0 { Self.unmask(&content, mask) }
        return WebSocketRules.Frame(
            isFinal: isFinal, hasReservedBits: hasReservedBits, opcode: opcode, isMasked: maskOffset != nil,
            data: content
        )
    }

    private static func unmask(_ content: inout ByteBuffer, _ mask: [UInt8]) {
        content.withUnsafeMutableReadableBytes { bytes in
            for index in bytes.indices { bytes[index] ^= mask[index % 4] }
        }
    }
}
