// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay
package import TLSTransport

/// The names that plain HTTP sends people on to: those this relay is known by, never any other that a request brings.
package struct RedirectNames: Hashable, Sendable {
    /// The names in the relay's certificate, and the public URL's.
    package var names: [TLSServerName]
    /// Where TLS is spoken there.
    package var port: Int

    package init(names: [TLSServerName], port: Int) {
        self.names = names
        self.port = port
    }

    /// Where to send a request for `path` on `host`, a Host field's value in lower case; nil when this relay is not
    /// called that.
    func location(host: String, path: String) -> String? {
        // The port goes; the colons of an IPv6 address, inside brackets, stay.
        let end = host.lastIndex(of: ":").flatMap { host[$0...].contains("]") ? nil : $0 } ?? host.endIndex
        let name = String(host[..<end])
        // Brackets are for an IPv6 address alone (RFC 3986, section 3.2.2).
        guard name.hasPrefix("[") == name.contains(":"), names.contains(where: { $0.covers(name) }) else { return nil }
        return "https://\(port == 443 ? name : "\(name):\(port)")\(path)"
    }
}

extension TLSServerName {
    /// Whether a certificate with this name is good for `host`: the same name or address; a star stands for the first
    /// label, and for one label alone (RFC 9525, section 6.3).
    package func covers(_ host: String) -> Bool {
        switch (self, TLSServerName(host: host)) {
        case (.dns(let own), .dns(let wanted)):
            if own == wanted { return true }
            guard own.hasPrefix("*."), let dot = wanted.firstIndex(of: "."), dot != wanted.startIndex else {
                return false
            }
            return own.dropFirst() == wanted[dot...]
        case (.ip(let own), .ip(let wanted)):
            return Self.canonical(own) == Self.canonical(wanted)
        case (.dns, .ip), (.ip, .dns): return false
        }
    }

    /// An IPv6 address can be written in many ways.
    private static func canonical(_ address: String) -> String? {
        (try? SocketAddress(ipAddress: address, port: 0))?.ipAddress
    }
}

/// What a listener is there for.
enum ListenerPurpose: Hashable, Sendable {
    /// The relay itself, over TLS.
    case relay
    /// Plain HTTP that only sends people to the relay.
    case redirect(RedirectNames)

    /// The answer to a request that is not served on this listener; nil when it is.
    func redirection(for head: RequestHead) -> HTTPError? {
        guard case .redirect(let names) = self, head.path != "/healthz" else { return nil }
        guard let host = head.host else { return .malformed("there is no Host field") }
        // The query stays behind: it may hold a token, which must not be said again in the clear.
        guard let location = names.location(host: host, path: head.path) else {
            // A client that controls the Host field must not choose where this relay sends people.
            return HTTPError(
                status: .misdirectedRequest, code: "other_host", message: "this relay is not known by that name"
            )
        }
        return HTTPError(
            status: .permanentRedirect, code: "use_https", message: "this relay speaks HTTPS",
            fields: [.init(name: "Location", value: location)]
        )
    }
}
