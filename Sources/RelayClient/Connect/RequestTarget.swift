// SPDX-License-Identifier: Apache-2.0

/// One HTTP request's destination: where to connect, and what to write into the request line.
struct RequestTarget: Hashable, Sendable {
    let endpoint: Endpoint
    /// Path and query, in origin form (RFC 9112, section 3.2.1).
    let target: String

    /// Whether `text` is empty or a path that begins with a slash, of characters that a path may hold, without dot
    /// segments.
    static func isPath(_ text: some StringProtocol) -> Bool {
        guard !text.isEmpty else { return true }
        return text.first == "/" && text.utf8.allSatisfy { isAllowed($0) && $0 != UInt8(ascii: "?") }
            && text.split(separator: "/").allSatisfy { $0 != "." && $0 != ".." }
    }

    /// Whether `text` is a path of at least a slash, and perhaps a query.
    static func isPathAndQuery(_ text: some StringProtocol) -> Bool {
        let path = text.prefix { $0 != "?" }
        return !path.isEmpty && isPath(path) && text.utf8.allSatisfy(isAllowed)
    }

    /// The characters of RFC 3986, section 3.3, the question mark, and the per cent sign.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: allowedSigns.contains(byte)
        }
    }

    private static let allowedSigns = Set("/-._~!$&'()*+,;=:@%?".utf8)
}
