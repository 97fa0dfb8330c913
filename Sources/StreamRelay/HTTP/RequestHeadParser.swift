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

/// The first line of a request (RFC 9112, section 3): method, target and version, one space between each.
struct RequestLine: Hashable, Sendable {
    var method: String
    var target: String
    var minorVersion: Int

    /// Parses a line without its CRLF.
    init(_ line: [UInt8]) throws(HTTPError) {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(FieldLine.isTokenByte) else {
            throw .malformed("the request line is not a method, a target and a version with one space between each")
        }
        guard !parts[1].isEmpty, parts[1].allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x23 }) else {
            throw .malformed("the target has a character that is not allowed")
        }
        method = String(decoding: parts[0], as: UTF8.self)
        target = String(decoding: parts[1], as: UTF8.self)
        switch String(decoding: parts[2], as: UTF8.self) {
        case "HTTP/1.1": minorVersion = 1
        case "HTTP/1.0": minorVersion = 0
        case let version where Self.isVersion(version):
            throw HTTPError(
                status: .versionNotSupported, code: "version_not_supported",
                message: "this server speaks HTTP/1.1"
            )
        default: throw .malformed("the request line does not end in an HTTP version")
        }
    }

    private static func isVersion(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        let isDigit: (UInt8) -> Bool = { (0x30...0x39).contains($0) }
        return bytes.count == 8 && bytes.starts(with: "HTTP/".utf8) && isDigit(bytes[5]) && bytes[6] == 0x2E
            && isDigit(bytes[7])
    }
}

/// The rules that need the whole head: what the fields say together.
enum HeadChecks {
    /// Builds the head, or refuses it.
    static func head(_ line: RequestLine, _ fields: [RequestHead.Field]) throws(HTTPError) -> RequestHead {
        let host = try host(line, fields)
        let framing = try framing(line, fields)
        let (path, query) = try target(line, host: host)
        var expectsContinue = false
        for expectation in fields where expectation.name == "expect" {
            guard expectation.value.lowercased() == "100-continue" else {
                throw HTTPError(
                    status: .expectationFailed, code: "expectation_failed",
                    message: "the only expectation this server knows is 100-continue"
                )
            }
            expectsContinue = line.minorVersion == 1
        }
        return RequestHead(
            method: line.method, path: path, query: query, minorVersion: line.minorVersion, host: host,
            framing: framing, expectsContinue: expectsContinue && framing != .none && framing != .length(0),
            fields: fields
        )
    }

    private static func host(_ line: RequestLine, _ fields: [RequestHead.Field]) throws(HTTPError) -> String? {
        let hosts = fields.filter { $0.name == "host" }
        guard hosts.count <= 1 else { throw .malformed("there is more than one Host field") }
        guard let host = hosts.first?.value else {
            if line.minorVersion == 0 { return nil }
            throw .malformed("there is no Host field")
        }
        let isAllowed: (UInt8) -> Bool = { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F: true
            default: false
            }
        }
        guard !host.isEmpty, host.utf8.count <= Defaults.Request.hostBytes, host.utf8.allSatisfy(isAllowed) else {
            throw .malformed("the Host field is not a host name or address with an optional port")
        }
        return host.lowercased()
    }

    /// RFC 9112, section 6.3, without any of its leniency.
    private static func framing(
        _ line: RequestLine, _ fields: [RequestHead.Field]
    ) throws(HTTPError) -> BodyFraming {
        let codings = fields.filter { $0.name == "transfer-encoding" }
        let lengths = fields.filter { $0.name == "content-length" }
        guard codings.isEmpty || lengths.isEmpty else {
            throw .malformed("Content-Length and Transfer-Encoding do not go together")
        }
        if let coding = codings.first {
            guard line.minorVersion == 1 else { throw .malformed("HTTP/1.0 has no Transfer-Encoding") }
            guard codings.count == 1 else { throw .malformed("there is more than one Transfer-Encoding field") }
            guard coding.value.lowercased() == "chunked" else {
                throw HTTPError(
                    status: .notImplemented, code: "transfer_coding_not_implemented",
                    message: "the only transfer coding this server knows is chunked"
                )
            }
            return .chunked
        }
        guard let length = lengths.first else { return .none }
        guard lengths.count == 1 else { throw .malformed("there is more than one Content-Length field") }
        guard (1...19).contains(length.value.utf8.count),
            length.value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = UInt64(length.value), value <= UInt64(Int64.max)
        else { throw .malformed("the Content-Length is not a number of bytes") }
        return .length(value)
    }

    /// Splits an origin-form target; an absolute-form one has to name the same host (RFC 9112, section 3.2.2).
    private static func target(
        _ line: RequestLine, host: String?
    ) throws(HTTPError) -> (path: String, query: String?) {
        // These two have targets of other forms, and are no method of any resource here.
        guard line.method != "CONNECT", line.method != "TRACE" else {
            throw HTTPError(
                status: .methodNotAllowed, code: "method_not_allowed", message: "no resource here has this method",
                fields: [.init(name: "Allow", value: "GET, PUT, POST")]
            )
        }
        var target = Substring(line.target)
        for scheme in ["https://", "http://"] where target.lowercased().hasPrefix(scheme) {
            let rest = target.dropFirst(scheme.count)
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            guard let host, rest[..<end].lowercased() == host else {
                throw .malformed("the target names another host than the Host field")
            }
            target = rest[end...]
            if !target.hasPrefix("/") { target = "/" + target }
            break
        }
        guard target.hasPrefix("/") else { throw .malformed("the target is not a path") }
        guard let mark = target.firstIndex(of: "?") else { return (String(target), nil) }
        return (String(target[..<mark]), String(target[target.index(after: mark)...]))
    }
}
