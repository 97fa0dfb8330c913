// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Cuts content into the records of the stream. This is the stage that sealing will replace.
struct RecordFramer: Sendable {
    /// Whether every record but the last has to be full, because the length of the stream was announced.
    private let fillsRecords: Bool
    /// Content that does not fill a record yet; shorter than one.
    private var rest = ByteBuffer()

    init(fillsRecords: Bool) {
        self.fillsRecords = fillsRecords
    }

    /// The records that `content` completes, as one buffer to send; perhaps empty.
    ///
    /// One copy of the content: heads and content have to be in one piece for TLS to make full records of them.
    mutating func frame(_ content: ByteBuffer) -> ByteBuffer {
        var content = content
        let total = rest.readableBytes + content.readableBytes
        let records = total / StreamRecord.maximumDataLength + 1
        var framed = ByteBufferAllocator().buffer(capacity: total + records * StreamRecord.headLength)
        if rest.readableBytes > 0 {
            if var missing = content.readSlice(
                length: min(content.readableBytes, StreamRecord.maximumDataLength - rest.readableBytes)
            ) {
                rest.writeBuffer(&missing)
            }
            guard rest.readableBytes == StreamRecord.maximumDataLength else { return framed }
            Self.write(&rest, into: &framed)
            rest.clear()
        }
        while content.readableBytes >= StreamRecord.maximumDataLength {
            guard var record = content.readSlice(length: StreamRecord.maximumDataLength) else { break }
            Self.write(&record, into: &framed)
        }
        if fillsRecords { rest = content } else { Self.write(&content, into: &framed) }
        return framed
    }

    /// What is left, and the end record with the content's `digest`.
    mutating func finish(digest: [UInt8]) -> ByteBuffer {
        var framed = ByteBufferAllocator().buffer(capacity: rest.readableBytes + 64)
        Self.write(&rest, into: &framed)
        _ = RecordEncoder.writeEnd(digest: digest, into: &framed)
        return framed
    }

    private static func write(_ record: inout ByteBuffer, into framed: inout ByteBuffer) {
        // An empty record does not exist; a longer one never gets here.
        guard RecordEncoder.writeDataHead(length: record.readableBytes, into: &framed) else { return }
        framed.writeBuffer(&record)
    }
}
