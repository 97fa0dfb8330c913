// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Where a server is, by the name or the address that an operator, a Sentinel or another server gave.
package struct RedisEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// A DNS name or an IP address; an IPv6 address without its brackets.
    package let host: String
    /// 1 to 65535.
    package let port: Int

    /// Nil for what is no host or no port: it may come from anyone who can write to a Redis or a Sentinel.
    package init?(host: String, port: Int) {
        guard (1...65_535).contains(port) else { return nil }
        guard Self.isHostName(host) || Self.isAddress(host) else { return nil }
        (self.host, self.port) = (host, port)
    }

    /// The place that a server's `MOVED` names; nil when it names none.
    ///
    /// - Parameter server: the server that says so. One that does not know its own host leaves it out.
    init?(moved text: String, by server: RedisEndpoint) {
        let words = text.split(separator: " ")
        guard words.count == 3, words[0] == "MOVED", let colon = words[2].lastIndex(of: ":"),
            let port = Self.port(words[2][words[2].index(after: colon)...])
        else { return nil }
        let host = words[2][..<colon]
        self.init(host: host.isEmpty || host == "?" ? server.host : String(host), port: port)
    }

    /// A port in decimal digits.
    static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    static func isHostName(_ text: some StringProtocol) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    private static func isAddress(_ text: String) -> Bool {
        text.contains(":") && (try? SocketAddress(ipAddress: text, port: 0)) != nil
    }

    /// Host and port, for logs.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
