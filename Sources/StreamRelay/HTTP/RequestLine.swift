// SPDX-License-Identifier: Apache-2.0

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
