// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import TransferBroker

/// Finds the content of a request's body in what arrives (RFC 9112, sections 6 and 7), without copying it.
///
/// A value type, so that a connection can be moved to another event loop in the middle of a body.
package struct RequestBodyReader: Hashable, Sendable {
    /// What comes next in the buffer.
    package enum Step: Hashable, Sendable {
        /// Content; shares the storage of the buffer it came from.
        case content(ByteBuffer)
        case needMore
        /// The body is complete; whatever is left in the buffer is not part of it.
        case end
        /// The body's framing is broken; nothing more can be read from the connection.
        case malformed
    }

    private enum State: Hashable {
        case remaining(UInt64)
        case chunkSize(digits: Int, value: UInt64)
        case chunkExtension(value: UInt64, length: Int)
        case chunkSizeEnd(value: UInt64)
        case chunk(UInt64)
        case chunkEnd(seenCR: Bool)
        case trailer(total: Int)
        case ended
        case broken
    }

    private var state: State
    /// The line of the trailer that is being read. Not in the state, which is made anew with each byte.
    private var line: [UInt8] = []

    package init(_ framing: BodyFraming) {
        switch framing {
        case .none, .length(0): state = .ended
        case .length(let length): state = .remaining(length)
        case .chunked: state = .chunkSize(digits: 0, value: 0)
        }
    }

    /// Whether the whole body has been read.
    package var isComplete: Bool { state == .ended }

    /// Takes the next step from `buffer`.
    package mutating func next(_ buffer: inout ByteBuffer) -> Step {
        while true {
            switch state {
            case .remaining(let count):
                guard let (content, left) = Self.take(count, from: &buffer) else { return .needMore }
                state = left == 0 ? .ended : .remaining(left)
                return .content(content)
            case .chunk(let count):
                guard let (content, left) = Self.take(count, from: &buffer) else { return .needMore }
                state = left == 0 ? .chunkEnd(seenCR: false) : .chunk(left)
                return .content(content)
            case .ended: return .end
            case .broken: return .malformed
            case .chunkSize, .chunkExtension, .chunkSizeEnd, .chunkEnd, .trailer:
                guard let byte: UInt8 = buffer.readInteger() else { return .needMore }
                state = framingByte(byte)
            }
        }
    }

    private static func take(_ count: UInt64, from buffer: inout ByteBuffer) -> (ByteBuffer, left: UInt64)? {
        let available = buffer.readableBytes
        guard available > 0 else { return nil }
        if UInt64(available) <= count {
            // The common case: all of it is content, and the buffer itself goes on, without a slice.
            let content = buffer
            buffer.moveReaderIndex(forwardBy: available)
            return (content, count - UInt64(available))
        }
        guard let content = buffer.readSlice(length: Int(count)) else { return nil }
        return (content, 0)
    }

    /// The state after one byte of chunked framing.
    private mutating func framingByte(_ byte: UInt8) -> State {
        switch state {
        case .chunkSize(let digits, let value):
            if let digit = Self.hexadecimal(byte) {
                // 15 digits stay below 2^60, so that nothing overflows.
                return digits < 15 ? .chunkSize(digits: digits + 1, value: value << 4 | digit) : .broken
            }
            guard digits > 0 else { return .broken }
            return byte == 0x0D
                ? .chunkSizeEnd(value: value) : byte == 0x3B ? .chunkExtension(value: value, length: 0) : .broken
        case .chunkExtension(let value, let length):
            if byte == 0x0D { return .chunkSizeEnd(value: value) }
            guard byte == 0x09 || (byte >= 0x20 && byte != 0x7F), length < Defaults.Request.chunkExtensionBytes
            else { return .broken }
            return .chunkExtension(value: value, length: length + 1)
        case .chunkSizeEnd(let value):
            guard byte == 0x0A else { return .broken }
            return value == 0 ? .trailer(total: 0) : .chunk(value)
        case .chunkEnd(let seenCR):
            if seenCR { return byte == 0x0A ? .chunkSize(digits: 0, value: 0) : .broken }
            return byte == 0x0D ? .chunkEnd(seenCR: true) : .broken
        case .trailer(let total): return trailerByte(byte, total)
        case .remaining, .chunk, .ended, .broken: return state
        }
    }

    private mutating func trailerByte(_ byte: UInt8, _ total: Int) -> State {
        guard total < Defaults.Request.trailerBytes else { return .broken }
        if byte != 0x0A {
            if line.last == 0x0D { return .broken }
            line.append(byte)
            return .trailer(total: total + 1)
        }
        guard line.popLast() == 0x0D else { return .broken }
        defer { line = [] }
        if line.isEmpty { return .ended }
        // Fields that frame or route a message must not come in a trailer (RFC 9110, section 6.5.1).
        guard let field = try? FieldLine.parse(line[...]),
            !["transfer-encoding", "content-length", "host", "authorization"].contains(field.name)
        else { return .broken }
        return .trailer(total: total + 1)
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46: UInt64(byte - 0x41) + 10
        case 0x61...0x66: UInt64(byte - 0x61) + 10
        default: nil
        }
    }
}
