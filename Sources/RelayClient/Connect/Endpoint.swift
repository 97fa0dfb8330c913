// SPDX-License-Identifier: Apache-2.0

/// A host and a port to connect to.
struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A DNS name in lower case, or an IP address; an IPv6 address without its brackets.
    let host: String
    /// 1 to 65535.
    let port: Int

    /// The port of `https` and `wss`, which the Host field leaves out.
    static let defaultPort = 443

    /// The Host field for this endpoint (RFC 9110, section 7.2), which is also the audience that a login is signed for.
    var authority: String {
        port == Self.defaultPort ? bracketedHost : "\(bracketedHost):\(port)"
    }

    /// Host and port, both always present.
    var description: String { "\(bracketedHost):\(port)" }

    private var bracketedHost: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host }

    /// Reads `host`, `host:port`, `[v6]` and `[v6]:port`.
    ///
    /// - Returns: nil when the host is not a DNS name or an IP address, or the port is not a number from 1 to 65535.
    static func parse(_ text: some StringProtocol, defaultPort: Int) -> Endpoint? {
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = Substring(text[text.index(after: text.startIndex)..<end])
            rest = Substring(text[text.index(after: end)...])
            guard case .v6? = IPAddress(host) else { return nil }
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            host = Substring(text[..<end])
            rest = Substring(text[end...])
            guard isHostName(host) else { return nil }
        }
        if rest.isEmpty { return Endpoint(host: host.lowercased(), port: defaultPort) }
        guard rest.first == ":", let port = port(rest.dropFirst()) else { return nil }
        return Endpoint(host: host.lowercased(), port: port)
    }

    /// A port number in digits alone, without a sign.
    static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(text), (1...65_535).contains(port)
        else { return nil }
        return port
    }

    /// The letters of DNS names and of IPv4 addresses (RFC 1123, section 2.1), and the underscore that some people use.
    private static func isHostName(_ text: Substring) -> Bool {
        (1...253).contains(text.utf8.count) && text.utf8.first != 0x2D
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
                (1...63).contains($0.utf8.count)
            }
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }
}
