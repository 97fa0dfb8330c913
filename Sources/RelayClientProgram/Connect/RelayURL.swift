// SPDX-License-Identifier: Apache-2.0

import Glibc
import TransferClient

/// Where a relay is: `https://host[:port][/prefix]`. `wss` means the same.
struct RelayURL: Hashable, Sendable, CustomStringConvertible {
    let endpoint: Endpoint
    /// What stands before `/ws`: empty, or a path that begins with a slash and does not end with one.
    let prefix: String

    /// Reads a URL that a person typed.
    init(_ text: String) throws(ConnectionError) {
        guard let separator = text.firstRange(of: "://") else {
            throw ConnectionError(
                url: "\"\(DisplayName.escape(text))\" is not a URL; write it as https://\(Self.guess(text))")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "https" || scheme == "wss" else {
            throw ConnectionError(
                url:
                    "a relay is reached over TLS only; write the URL with https:// and not \(DisplayName.escape(scheme))://"
            )
        }
        let rest = text[separator.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@") else {
            throw ConnectionError(
                url: "a relay's URL has no user name or password; leave out what stands before the @")
        }
        guard let endpoint = Endpoint.parse(authority, defaultPort: Endpoint.defaultPort) else {
            throw ConnectionError(
                url:
                    "\"\(DisplayName.escape(String(authority)))\" is not a host name or address with an optional port"
            )
        }
        let path = rest[authority.endIndex...]
        guard !path.contains("?"), !path.contains("#") else {
            throw ConnectionError(url: "a relay's URL ends with its path; leave out what follows the ? or #")
        }
        guard RequestTarget.isPath(path) else {
            throw ConnectionError(
                url: "the path of \"\(DisplayName.escape(text))\" has characters that a URL must not have")
        }
        self.endpoint = endpoint
        var prefix = path
        while prefix.last == "/" { prefix.removeLast() }
        self.prefix = String(prefix)
    }

    /// The URL, the default port left out.
    var description: String { "https://\(endpoint.authority)\(prefix)" }

    /// The path of the control connection.
    var controlTarget: RequestTarget { RequestTarget(endpoint: endpoint, target: "\(prefix)/ws") }

    /// Resolves what `start` said (RFC 3986, section 5): an `https` URL, a network path, an absolute path, or a path
    /// relative to this URL taken as a folder. Dot segments are refused, the relay has no use for them.
    ///
    /// - Returns: nil when `reference` is none of these.
    func resolve(_ reference: String) -> RequestTarget? {
        guard (1...Defaults.longestReference).contains(reference.utf8.count) else { return nil }
        if let separator = reference.firstRange(of: "://"), !reference[..<separator.lowerBound].contains("/") {
            guard reference[..<separator.lowerBound].lowercased() == "https" else { return nil }
            return Self.absolute(reference[separator.upperBound...])
        }
        if reference.hasPrefix("//") { return Self.absolute(reference.dropFirst(2)) }
        let target = reference.hasPrefix("/") ? reference : "\(prefix)/\(reference)"
        guard RequestTarget.isPathAndQuery(target) else { return nil }
        return RequestTarget(endpoint: endpoint, target: target)
    }

    private static func absolute(_ rest: Substring) -> RequestTarget? {
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest[authority.endIndex...]
        let target = path.hasPrefix("/") ? String(path) : "/\(path)"
        guard let endpoint = Endpoint.parse(authority, defaultPort: Endpoint.defaultPort),
            RequestTarget.isPathAndQuery(target)
        else { return nil }
        return RequestTarget(endpoint: endpoint, target: target)
    }

    /// The URL to suggest to a user who wrote a bare name.
    private static func guess(_ text: String) -> String {
        Endpoint.parse(text.prefix { $0 != "/" }, defaultPort: Endpoint.defaultPort)?.authority ?? "relay.example.com"
    }
}

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

/// An IP address as its bytes, to compare with ranges of addresses.
enum IPAddress: Hashable, Sendable {
    /// Four bytes.
    case v4([UInt8])
    /// Sixteen bytes.
    case v6([UInt8])

    /// Reads the text forms of RFC 4291, section 2.2 and dotted IPv4; anything else is nil.
    init?(_ text: some StringProtocol) {
        var bytes = [UInt8](repeating: 0, count: 16)
        if unsafe inet_pton(AF_INET, String(text), &bytes) == 1 {
            self = .v4(Array(bytes.prefix(4)))
        } else if unsafe inet_pton(AF_INET6, String(text), &bytes) == 1 {
            self = .v6(bytes)
        } else {
            return nil
        }
    }

    /// Whether the first `length` bits are those of `network`; false between the two families.
    func isIn(_ network: IPAddress, prefix length: Int) -> Bool {
        switch (self, network) {
        case (.v4(let own), .v4(let other)), (.v6(let own), .v6(let other)):
            guard (0...(own.count * 8)).contains(length) else { return false }
            let whole = length / 8
            guard own.prefix(whole) == other.prefix(whole) else { return false }
            let bits = length % 8
            if bits == 0 { return true }
            return (own[whole] ^ other[whole]) >> UInt8(8 - bits) == 0
        case (.v4, .v6), (.v6, .v4):
            return false
        }
    }
}
