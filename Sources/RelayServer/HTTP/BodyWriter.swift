// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Frames a message's body as it is written: as it is when its length was announced, else in chunks (RFC 9112, section
/// 7.1).
struct BodyWriter: Hashable, Sendable {
    private let isChunked: Bool
    private var isFirst = true

    /// - Parameter length: the announced length; nil means chunked.
    init(length: UInt64?) {
        isChunked = length == nil
    }

    /// The field that announces the framing.
    static func field(length: UInt64?) -> RequestHead.Field {
        length.map { .init(name: "Content-Length", value: String($0)) }
            ?? .init(name: "Transfer-Encoding", value: "chunked")
    }

    /// What goes in front of the next `count` bytes of content; nil when nothing does.
    mutating func prefix(_ count: Int) -> ByteBuffer? {
        guard isChunked else { return nil }
        // The end of one chunk and the size of the next travel together.
        let size = String(count, radix: 16)
        defer { isFirst = false }
        return ByteBuffer(string: isFirst ? "\(size)\r\n" : "\r\n\(size)\r\n")
    }

    /// What goes behind the last byte of content; empty when nothing does.
    var end: ByteBuffer {
        isChunked ? ByteBuffer(string: isFirst ? "0\r\n\r\n" : "\r\n0\r\n\r\n") : ByteBuffer()
    }
}
