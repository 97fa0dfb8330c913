// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Reads back what a ``ManifestEncoder`` wrote, without the end. Its users have compared the digest of these bytes: the
/// order of the entries is not looked at again.
package struct ManifestReader: Sendable {
    /// How many entries were read.
    package private(set) var count: UInt64 = 0

    package init() {}

    /// Takes the next entry out of `buffer`; nil when it is not there as a whole.
    package mutating func next(from buffer: inout ByteBuffer) throws(SealingError) -> ManifestEntry? {
        guard let byte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self)
        else { return nil }
        guard let kind = StreamRecordKind(rawValue: byte), kind != .manifestEnd, ManifestDecoder.holds(kind) else {
            throw .manifest(.kind(byte))
        }
        guard length <= StreamRecordKind.longestBody else { throw .manifest(.longRecord(length)) }
        let head = StreamRecordKind.headLength
        guard let body = buffer.getBytes(at: buffer.readerIndex + head, length: Int(length)) else { return nil }
        buffer.moveReaderIndex(forwardBy: head + Int(length))
        do {
            let entry = try ManifestEntry(kind, body: body, number: count)
            count += 1
            return entry
        } catch {
            throw .manifest(error)
        }
    }
}
