// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Writes a transfer's stream. The content itself is the caller's to send, behind each head and uncopied.
package enum RecordEncoder {
    /// Writes the head of a data record into `buffer`; the record's content has to follow.
    ///
    /// - Parameter length: 1 to ``StreamRecord/maximumDataLength``.
    /// - Returns: false, with nothing written, when `length` is outside that range.
    package static func writeDataHead(length: Int, into buffer: inout ByteBuffer) -> Bool {
        guard (1...StreamRecord.maximumDataLength).contains(length) else { return false }
        writeHead(.data, length: length, into: &buffer)
        return true
    }

    /// Writes the end record into `buffer`.
    ///
    /// - Parameter digest: the SHA-256 of the whole content, ``StreamRecord/digestLength`` bytes.
    /// - Returns: false, with nothing written, when `digest` has another length.
    package static func writeEnd(digest: some Collection<UInt8>, into buffer: inout ByteBuffer) -> Bool {
        guard digest.count == StreamRecord.digestLength else { return false }
        writeHead(.end, length: StreamRecord.digestLength, into: &buffer)
        buffer.writeBytes(digest)
        return true
    }

    /// The length in bytes of the stream of `size` bytes of content, when every data record but the last is full; nil
    /// when it does not fit into 64 bits.
    package static func streamLength(size: UInt64) -> UInt64? {
        let full = UInt64(StreamRecord.maximumDataLength)
        let head = UInt64(StreamRecord.headLength)
        // The quotient is small enough for these three steps; only the last sum can overflow.
        let records = size / full + (size % full == 0 ? 0 : 1)
        let overhead = records * head + head + UInt64(StreamRecord.digestLength)
        let (length, overflow) = size.addingReportingOverflow(overhead)
        return overflow ? nil : length
    }

    private static func writeHead(_ kind: StreamRecord.Kind, length: Int, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt32(kind.rawValue) << 24 | UInt32(length))
    }
}
