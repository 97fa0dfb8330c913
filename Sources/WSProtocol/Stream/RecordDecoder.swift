// SPDX-License-Identifier: Apache-2.0

package import NIOCore

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
