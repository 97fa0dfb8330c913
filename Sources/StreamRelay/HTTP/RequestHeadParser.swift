// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import TransferBroker

/// Reads the head of one request, byte for byte as strict as RFC 9112 allows a server to be.
///
/// A relay behind a balancer must never see a request otherwise than the balancer saw it, so whatever two parsers could
/// read differently is refused: bare line feeds, folded fields, both lengths at once, repeated or listed lengths. A
/// value type, fed with whatever has arrived; it never looks at the same byte twice.
package struct RequestHeadParser {
    /// What is known after feeding.
    package enum Outcome: Hashable, Sendable {
        case needMore
        /// The head is complete; whatever is left in the buffer belongs to the body.
        case head(RequestHead)
        case refused(HTTPError)
    }

    private var line: [UInt8] = []
    private var headLength = 0
    private var requestLine: RequestLine?
    private var fields: [RequestHead.Field] = []

    package init() {}

    /// Consumes bytes up to the end of the head.
    package mutating func feed(_ buffer: inout ByteBuffer) -> Outcome {
        while let byte: UInt8 = buffer.readInteger() {
            headLength += 1
            guard headLength <= Defaults.Request.headBytes else {
                return .refused(Self.tooLarge(isRequestLine: requestLine == nil))
            }
            if byte != 0x0A {
                if line.last == 0x0D { return .refused(.malformed("a carriage return stands alone in the head")) }
                line.append(byte)
                guard line.count <= Defaults.Request.lineBytes else {
                    return .refused(Self.tooLarge(isRequestLine: requestLine == nil))
                }
                continue
            }
            guard line.popLast() == 0x0D else { return .refused(.malformed("a line of the head does not end in CRLF")) }
            let isLast = line.isEmpty
            do throws(HTTPError) {
                if let requestLine {
                    if isLast { return .head(try HeadChecks.head(requestLine, fields)) }
                    guard fields.count < Defaults.Request.fields else { throw Self.tooLarge(isRequestLine: false) }
                    fields.append(try FieldLine.parse(line[...]))
                } else {
                    requestLine = try RequestLine(line)
                }
            } catch {
                return .refused(error)
            }
            line.removeAll(keepingCapacity: true)
        }
        return .needMore
    }

    /// Whether nothing at all has arrived yet.
    package var isEmpty: Bool { headLength == 0 }

    private static func tooLarge(isRequestLine: Bool) -> HTTPError {
        isRequestLine
            ? HTTPError(
                status: .uriTooLong, code: "uri_too_long",
                message: "the request line is longer than \(kibibytes(Defaults.Request.lineBytes))"
            )
            : HTTPError(
                status: .fieldsTooLarge, code: "fields_too_large",
                message: "the head is larger than \(kibibytes(Defaults.Request.headBytes)), has a field over "
                    + "\(kibibytes(Defaults.Request.lineBytes)), or more than \(Defaults.Request.fields) fields"
            )
    }

    private static func kibibytes(_ bytes: Int) -> String { "\(bytes / 1024) KiB" }
}
