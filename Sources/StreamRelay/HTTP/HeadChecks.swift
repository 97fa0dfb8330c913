// SPDX-License-Identifier: Apache-2.0

import TransferBroker

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
