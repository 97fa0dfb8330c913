// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

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

    /// Content with what goes in front of it: in one buffer, or in two where a copy costs more than one write more.
    mutating func framed(_ content: ByteBuffer) -> (first: ByteBuffer, second: ByteBuffer?) {
        guard isChunked else { return (content, nil) }
        // The end of one chunk and the size of the next travel together.
        let size = String(content.readableBytes, radix: 16)
        var prefix = ByteBuffer(string: isFirst ? "\(size)\r\n" : "\r\n\(size)\r\n")
        isFirst = false
        guard content.readableBytes < Defaults.Stream.gatherBelow else { return (prefix, content) }
        prefix.writeImmutableBuffer(content)
        return (prefix, nil)
    }

    /// What goes behind the last byte of content; empty when nothing does.
    var end: ByteBuffer {
        isChunked ? ByteBuffer(string: isFirst ? "0\r\n\r\n" : "\r\n0\r\n\r\n") : ByteBuffer()
    }
}
