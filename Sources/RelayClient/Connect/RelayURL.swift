// SPDX-License-Identifier: Apache-2.0

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

    /// What to suggest to somebody who wrote a bare name.
    private static func guess(_ text: String) -> String {
        Endpoint.parse(text.prefix { $0 != "/" }, defaultPort: Endpoint.defaultPort)?.authority ?? "relay.example.com"
    }
}
