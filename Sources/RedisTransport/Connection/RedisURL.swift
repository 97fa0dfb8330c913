// SPDX-License-Identifier: Apache-2.0

internal import WSProtocol

/// Where a Redis is and how to log in there.
///
/// - `redis[s]://[[user]:password@]host[:port][,host[:port]...][/database]`: one server, or some of a Redis Cluster's;
/// - `redis[s]+sentinel://[[user]:password@]host[:port][,host[:port]...]/MASTER[/database]`: the master that these
///   Sentinels watch by that name. The login is that of Redis itself.
///
/// Neither its description nor any error about it shows the password.
package struct RedisURL: Hashable, Sendable {
    /// Whether the connections are TLS: `rediss`.
    let isTLS: Bool
    /// The servers, or the Sentinels, each once: at least one.
    package let endpoints: [RedisEndpoint]
    /// What the Sentinels call the master; nil without Sentinels.
    package let master: String?
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
        let schemes = [
            ("rediss://", true, false), ("redis://", false, false), ("rediss+sentinel://", true, true),
            ("redis+sentinel://", false, true),
        ]
        guard let (scheme, isTLS, isSentinel) = schemes.first(where: { text.lowercased().hasPrefix($0.0) }) else {
            throw Malformed(
                description: "the URL of Redis has to begin with redis:// or rediss://, "
                    + "or with redis+sentinel:// or rediss+sentinel://")
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
        endpoints = try Self.endpoints(place[..<slash], isSentinel ? RedisDefaults.sentinelPort : RedisDefaults.port)
        (user, password) = credentials
        guard isSentinel else {
            master = nil
            database = try Self.database(place[slash...])
            return
        }
        let path = place[slash...].dropFirst()
        let end = path.firstIndex(of: "/") ?? path.endIndex
        master = try Self.master(path[..<end])
        database = try Self.database(path[end...])
    }

    private static func endpoints(_ text: Substring, _ port: Int) throws(Malformed) -> [RedisEndpoint] {
        var endpoints: [RedisEndpoint] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let endpoint = try endpoint(part, port)
            if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
        }
        guard endpoints.count <= RedisDefaults.endpoints else {
            throw Malformed(
                description: "the URL of Redis names more than \(RedisDefaults.endpoints) servers; a few are enough")
        }
        return endpoints
    }

    private static func master(_ text: Substring) throws(Malformed) -> String {
        let isName = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
            default: false
            }
        }
        guard isName, (1...64).contains(text.utf8.count) else {
            throw Malformed(
                description: "the URL of Redis names Sentinels and no master; write it as "
                    + "redis+sentinel://host:port,host:port/MASTER, with the name in their `sentinel monitor`")
        }
        return String(text)
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

    private static func endpoint(_ text: Substring, _ standard: Int) throws(Malformed) -> RedisEndpoint {
        let shown = RedisError.printable(String(text))
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw Malformed(description: "\(shown) in the URL of Redis has a [ and no ]")
            }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard host.contains(":"), RedisEndpoint(host: String(host), port: standard) != nil else {
                throw Malformed(description: "\(shown) in the URL of Redis has no IPv6 address in its brackets")
            }
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            (host, rest) = (text[..<end], text[end...])
            guard RedisEndpoint.isHostName(host) else {
                throw Malformed(
                    description: "\"\(shown)\" in the URL of Redis is not a host name or address with an optional port")
            }
        }
        let port = rest.isEmpty ? standard : rest.first == ":" ? RedisEndpoint.port(rest.dropFirst()) : nil
        guard let port, let endpoint = RedisEndpoint(host: String(host), port: port) else {
            throw Malformed(description: "the port in the URL of Redis is not a number from 1 to 65535")
        }
        return endpoint
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

    /// Where it is, for logs.
    package var address: String {
        let places = endpoints.map(\.description).joined(separator: ",")
        return master.map { "\(places)/\($0)" } ?? places
    }
}

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL without the password.
    package var description: String {
        let login = password == nil ? "" : "\(user ?? ""):***@"
        return "\(isTLS ? "rediss" : "redis")\(master == nil ? "" : "+sentinel")://\(login)\(address)/\(database)"
    }

    /// The URL without its password, as in ``description``.
    package var debugDescription: String { description }

    /// Nothing: a dump must not show the password either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
