// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The records that a transfer's stream consists of: one byte of kind, three bytes of length (big-endian), the body.
package enum StreamRecord {
    /// The kinds of records.
    package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        /// 1 to ``StreamRecord/maximumDataLength`` bytes of content.
        case data = 0
        /// The SHA-256 of the whole content; nothing follows.
        case end = 1
    }

    /// Bytes before each body.
    package static let headLength = 4
    /// The most bytes of content in one record.
    package static let maximumDataLength = 65_536
    /// The length of a SHA-256 in bytes.
    package static let digestLength = 32
}

/// Why a stream was refused. Each ends the transfer with `protocol_error`.
package enum StreamViolation: Error, Hashable, Sendable {
    /// A record of a kind that does not exist.
    case unknownKind(UInt8)
    /// A data record without content.
    case emptyRecord
    /// A data record of this many bytes, more than ``StreamRecord/maximumDataLength``.
    case longRecord(Int)
    /// An end record whose body has this many bytes instead of ``StreamRecord/digestLength``.
    case digestLength(Int)
    /// More content than was announced.
    case tooMuchContent
    /// Bytes behind the end record.
    case bytesAfterEnd
}

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

/// Reads a transfer's stream, in whatever pieces it comes. Keeps at most a digest's length of it: content is passed on
/// as slices of what came in, without waiting for the end of its record.
package struct RecordDecoder: Hashable, Sendable {
    /// What stands at the front of the buffer.
    package enum Step: Hashable, Sendable {
        /// Content, in order; never empty.
        case content(ByteBuffer)
        /// All of the content has come, and the sender says that this is its SHA-256. The caller compares.
        case end(digest: [UInt8])
        /// Everything in the buffer has been taken.
        case needMore
        /// The stream is not one; nothing in it can be used from here on. Stays that way.
        case violation(StreamViolation)
    }

    private enum State: Hashable {
        /// Inside a head, with what there is of it.
        case head([UInt8])
        /// Inside the content of a data record, with so many bytes to come (1 or more).
        case data(remaining: Int)
        /// Inside the body of the end record, with what there is of it.
        case digest([UInt8])
        case ended
        case failed(StreamViolation)
    }

    private var state: State = .head([])
    /// Bytes of content that may still come; nil when the size was not announced.
    private var allowance: UInt64?

    /// - Parameter size: the bytes of content that the offer announced, if it did. More than that is refused as soon as
    ///   a record's head says so; less is left for the caller to judge, who knows when it resumed.
    package init(size: UInt64?) {
        self.allowance = size
    }

    /// Takes the next step out of `buffer`, moving its reader index. To be called until it says `needMore`, and again
    /// when more bytes have come.
    package mutating func next(_ buffer: inout ByteBuffer) -> Step {
        while true {
            switch state {
            case .head(var head):
                Self.fill(&head, upTo: StreamRecord.headLength, from: &buffer)
                guard head.count == StreamRecord.headLength else {
                    state = .head(head)
                    return .needMore
                }
                state = headComplete(kind: head[0], length: Int(head[1]) << 16 | Int(head[2]) << 8 | Int(head[3]))
            case .data(let remaining):
                guard let content = buffer.readSlice(length: min(remaining, buffer.readableBytes)),
                    content.readableBytes > 0
                else { return .needMore }
                let left = remaining - content.readableBytes
                state = left == 0 ? .head([]) : .data(remaining: left)
                return .content(content)
            case .digest(var digest):
                Self.fill(&digest, upTo: StreamRecord.digestLength, from: &buffer)
                guard digest.count == StreamRecord.digestLength else {
                    state = .digest(digest)
                    return .needMore
                }
                state = .ended
                return .end(digest: digest)
            case .ended:
                guard buffer.readableBytes > 0 else { return .needMore }
                state = .failed(.bytesAfterEnd)
            case .failed(let violation):
                return .violation(violation)
            }
        }
    }

    private mutating func headComplete(kind: UInt8, length: Int) -> State {
        switch StreamRecord.Kind(rawValue: kind) {
        case .data:
            guard length > 0 else { return .failed(.emptyRecord) }
            guard length <= StreamRecord.maximumDataLength else { return .failed(.longRecord(length)) }
            guard let allowance else { return .data(remaining: length) }
            guard UInt64(length) <= allowance else { return .failed(.tooMuchContent) }
            self.allowance = allowance - UInt64(length)
            return .data(remaining: length)
        case .end:
            guard length == StreamRecord.digestLength else { return .failed(.digestLength(length)) }
            return .digest([])
        case nil:
            return .failed(.unknownKind(kind))
        }
    }

    private static func fill(_ bytes: inout [UInt8], upTo count: Int, from buffer: inout ByteBuffer) {
        let taken = min(count - bytes.count, buffer.readableBytes)
        bytes.append(contentsOf: buffer.readBytes(length: taken) ?? [])
    }
}

/// Cuts content into the records of the stream. This is the stage that sealing will replace.
package struct RecordFramer: Sendable {
    /// Whether every record but the last has to be full, because the length of the stream was announced.
    private let fillsRecords: Bool
    /// Content that does not fill a record yet; shorter than one.
    private var rest = ByteBuffer()

    package init(fillsRecords: Bool) {
        self.fillsRecords = fillsRecords
    }

    /// The records that `content` completes, as one buffer to send; perhaps empty.
    ///
    /// One copy of the content: heads and content have to be in one piece for TLS to make full records of them.
    package mutating func frame(_ content: ByteBuffer) -> ByteBuffer {
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
    package mutating func finish(digest: [UInt8]) -> ByteBuffer {
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
