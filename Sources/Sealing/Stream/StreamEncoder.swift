// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Writes the records around content, and the stream's beginning. The content itself is the caller's to write behind
/// each head, uncopied.
package enum StreamEncoder {
    /// The bytes of the head of a record.
    package static let headLength = StreamRecordKind.headLength
    /// The bytes of the end of everything.
    package static let endLength = UInt64(headLength)

    /// The beginning of a stream whose manifest follows.
    package static func writeManifestForm(into buffer: inout ByteBuffer) {
        buffer.writeInteger(StreamForm.manifest.rawValue)
    }

    /// The beginning of a stream whose manifest the receiver has.
    package static func writeDigest(_ digest: ManifestDigest, into buffer: inout ByteBuffer) {
        buffer.writeInteger(StreamForm.digest.rawValue)
        buffer.writeBytes(digest)
    }

    /// The head of a record of content, which has to follow.
    ///
    /// - Parameter length: 1 or more.
    package static func writeDataHead(length: UInt32, into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(StreamRecordKind.data.rawValue, length)
    }

    /// Zero bytes that are not sent.
    ///
    /// - Parameter length: 1 or more.
    package static func writeHole(length: UInt64, into buffer: inout ByteBuffer) {
        var body = FieldWriter()
        body.integer(length)
        buffer.writeBytes(record(.hole, body.bytes))
    }

    /// The end of a file.
    package static func writeFileEnd(into buffer: inout ByteBuffer) { buffer.writeBytes(record(.fileEnd, [])) }

    /// Why the file cannot be read to its end, and the transfer ends.
    package static func writeUnreadable(_ reason: UnreadableReason, into buffer: inout ByteBuffer) {
        var body = FieldWriter()
        body.integer(reason.rawValue)
        buffer.writeBytes(record(.unreadable, body.bytes))
    }

    /// The end of everything.
    package static func writeEnd(into buffer: inout ByteBuffer) { buffer.writeBytes(record(.end, [])) }

    /// What fills a chunk that has to be sent before there is more to say.
    ///
    /// - Parameter room: the bytes that the chunk has room for, 1 to ``Chunk/plaintextLength``; where they are too few
    ///   for a record, it fills the next chunk as well.
    package static func writePadding(room: Int, into buffer: inout ByteBuffer) {
        let length = room >= StreamRecordKind.headLength ? room : room + Chunk.plaintextLength
        buffer.writeMultipleIntegers(
            StreamRecordKind.padding.rawValue, UInt32(clamping: length - StreamRecordKind.headLength)
        )
        buffer.writeRepeatingByte(0, count: length - StreamRecordKind.headLength)
    }

    /// The bytes that a file without holes takes in a stream, when each record of content but the last is as long as
    /// one can be; nil when that does not fit into 64 bits.
    package static func contentLength(of size: UInt64) -> UInt64? {
        let longest = UInt64(UInt32.max)
        let heads = size / longest + (size % longest == 0 ? 0 : 1) + 1
        let (length, overflow) = size.addingReportingOverflow(heads * UInt64(StreamRecordKind.headLength))
        return overflow ? nil : length
    }

    static func record(_ kind: StreamRecordKind, _ body: [UInt8]) -> [UInt8] {
        var record = FieldWriter()
        record.integer(kind.rawValue)
        record.long(body)
        return record.bytes
    }
}
