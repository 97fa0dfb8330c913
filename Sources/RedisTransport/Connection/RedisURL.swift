// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import WSProtocol

/// Where a Redis is and how to log in there: `redis[s]://[[user]:password@]host[:port][/database]`.
///
/// Neither its description nor any error about it shows the password.
package struct RedisURL: Hashable, Sendable {
    /// Whether the connection is TLS: `rediss`.
    let isTLS: Bool
    /// A DNS name or an IP address; an IPv6 address without its brackets.
    package let host: String
    /// 1 to 65535.
    package let port: Int
    /// The user's name; nil for the default user.
    package let user: String?
    /// The password; nil if Redis has none.
    package let password: String?
    /// The database's number.
    let database: Int

    /// Why a text is not the URL of a Redis.
    package struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        /// What is wrong and how to write it, for an operator.
        package let description: String
    }

    /// Reads a URL that a person wrote.
    package init(_ text: String) throws(Malformed) {
        let schemes = [("rediss://", true), ("redis://", false)]
        guard let (scheme, isTLS) = schemes.first(where: { text.lowercased().hasPrefix($0.0) }) else {
            throw Malformed(description: "the URL of Redis has to begin with redis:// or rediss://")
        }
        let rest = text.dropFirst(scheme.count)
        guard !rest.contains("?"), !rest.contains("#") else {
            throw Malformed(
                description: "the URL of Redis has a ? or a #; in a password write them as %3F and %23")
        }
        // The last @, so that a password with one in it is not taken for a host and shown.
        let at = rest.lastIndex(of: "@")
        let place = rest[(at.map { rest.index(after: $0) } ?? rest.startIndex)...]
        let slash = place.firstIndex(of: "/") ?? place.endIndex
        let credentials = try Self.credentials(at.map { rest[..<$0] })
        self.isTLS = isTLS
        (host, port) = try Self.endpoint(place[..<slash])
        (user, password) = credentials
        database = try Self.database(place[slash...])
    }

    private static func credentials(
        _ text: Substring?
    ) throws(Malformed) -> (user: String?, password: String?) {
        guard let text else { return (nil, nil) }
        guard !text.contains("/") else {
            throw Malformed(description: "the password in the URL of Redis has a /; write it as %2F")
        }
        guard let colon = text.firstIndex(of: ":"), text.index(after: colon) != text.endIndex else {
            throw Malformed(
                description: "the URL of Redis has an @ and no password before it; write user:password@ or leave it out"
            )
        }
        guard let user = PercentEncoding.decodeUTF8(text[..<colon]),
            let password = PercentEncoding.decodeUTF8(text[text.index(after: colon)...])
        else {
            throw Malformed(
                description: "the user name or password in the URL of Redis has a % that is not one of %00 to %FF "
                    + "in UTF-8; write % itself as %25")
        }
        return (user.isEmpty ? nil : user, password)
    }

    private static func endpoint(_ text: Substring) throws(Malformed) -> (host: String, port: Int) {
        let shown = RedisError.printable(String(text))
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw Malformed(description: "\(shown) in the URL of Redis has a [ and no ]")
            }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard host.contains(":"), (try? SocketAddress(ipAddress: String(host), port: 0)) != nil else {
                throw Malformed(description: "\(shown) in the URL of Redis has no IPv6 address in its brackets")
            }
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            (host, rest) = (text[..<end], text[end...])
            guard isHostName(host) else {
                throw Malformed(
                    description: "\"\(shown)\" in the URL of Redis is not a host name or address with an optional port")
            }
        }
        if rest.isEmpty { return (String(host), RedisDefaults.port) }
        guard rest.first == ":", let port = number(rest.dropFirst(), atMost: 65_535), port > 0 else {
            throw Malformed(description: "the port in the URL of Redis is not a number from 1 to 65535")
        }
        return (String(host), port)
    }

    private static func database(_ text: Substring) throws(Malformed) -> Int {
        let name = text.dropFirst()
        if name.isEmpty { return 0 }
        guard let number = number(name, atMost: 999_999) else {
            throw Malformed(description: "the database at the end of the URL of Redis is not a number")
        }
        return number
    }

    private static func number(_ text: Substring, atMost limit: Int) -> Int? {
        guard (1...6).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), number <= limit
        else { return nil }
        return number
    }

    private static func isHostName(_ text: Substring) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    /// Host and port, for logs.
    package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL without the password.
    package var description: String {
        let login = password == nil ? "" : "\(user ?? ""):***@"
        return "\(isTLS ? "rediss" : "redis")://\(login)\(address)/\(database)"
    }

    /// The same.
    package var debugDescription: String { description }

    /// Nothing: a dump must not show the password either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
