// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
package import NIOCore

/// How a journal is written: a line that says what it is, and then records, each `u32 length ‖ u8 kind ‖ body ‖ check`.
/// The check is a hash of the record and of the check before it, so that no record is taken that was altered, or stands
/// where it was not written.
package enum JournalCoding {
    /// The first bytes of every journal.
    package static let firstLine = Array("relay journal 1\n".utf8)

    /// The most bytes in a body: a summary, or the runs of one note.
    static let longestBody = 65_536
    static let checkLength = 16
    static let headLength = 5

    /// The check of a record behind the one that has the check `previous`.
    static func check(_ record: [UInt8], after previous: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: previous)
        hash.update(data: record)
        return Array(hash.finalize().prefix(checkLength))
    }
}

/// Writes records, one behind the other.
package struct JournalWriter: Hashable, Sendable {
    private var check: [UInt8]

    /// The writer of a new journal, which begins with ``JournalCoding/firstLine``.
    package init() { check = JournalCoding.firstLine }

    init(after check: [UInt8]) { self.check = check }

    /// The bytes of the next record; nil when it has more than one can have.
    package mutating func encode(_ record: JournalRecord) -> [UInt8]? {
        guard let body = record.body else { return nil }
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(UInt32(body.readableBytes), record.kind.rawValue)
        bytes.writeImmutableBuffer(body)
        let written = Array(bytes.readableBytesView)
        check = JournalCoding.check(written, after: check)
        return written + check
    }
}

/// Reads records up to the first that is not whole, or not as it was written: nothing behind it counts.
package struct JournalReader: Sendable {
    /// The bytes from the beginning that are good.
    package private(set) var length: UInt64 = 0

    private var buffer = ByteBuffer()
    private var check: [UInt8]?
    private var isOver = false

    package init() {}

    /// What writes behind the last good record.
    package var writer: JournalWriter { check.map(JournalWriter.init(after:)) ?? JournalWriter() }

    /// Takes the next bytes of the file.
    package mutating func append(_ bytes: ByteBuffer) {
        var bytes = bytes
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeBuffer(&bytes) }
        // Here, so that a first record that does not count leaves the line in front of it good, in whatever pieces the
        // two have come.
        if !isOver { readFirstLine() }
    }

    /// The next record; nil when it needs more bytes, or nothing that comes counts.
    package mutating func next() -> JournalRecord? {
        guard !isOver, let check else { return nil }
        let start = buffer.readerIndex
        guard let length = buffer.getInteger(at: start, as: UInt32.self) else { return nil }
        guard length <= JournalCoding.longestBody else {
            isOver = true
            return nil
        }
        let whole = JournalCoding.headLength + Int(length)
        guard let record = buffer.getBytes(at: start, length: whole),
            let found = buffer.getBytes(at: start + whole, length: JournalCoding.checkLength)
        else { return nil }
        guard found == JournalCoding.check(record, after: check),
            let kind = JournalRecord.Kind(rawValue: record[JournalCoding.headLength - 1]),
            let body = buffer.getSlice(at: start + JournalCoding.headLength, length: Int(length)),
            let decoded = JournalRecord(kind, body: body)
        else {
            isOver = true
            return nil
        }
        buffer.moveReaderIndex(forwardBy: whole + JournalCoding.checkLength)
        self.length += UInt64(whole + JournalCoding.checkLength)
        self.check = found
        return decoded
    }

    /// Nothing that comes counts.
    mutating func end() { isOver = true }

    /// Whether the first line is right; looks at it once.
    private mutating func readFirstLine() {
        guard check == nil, buffer.readableBytes >= JournalCoding.firstLine.count else { return }
        guard buffer.readBytes(length: JournalCoding.firstLine.count) == JournalCoding.firstLine else {
            isOver = true
            return
        }
        length = UInt64(JournalCoding.firstLine.count)
        check = JournalCoding.firstLine
    }
}
