// SPDX-License-Identifier: Apache-2.0

/// What a listener is there for.
enum ListenerPurpose: Hashable, Sendable {
    /// The relay itself, over TLS.
    case relay
    /// Plain HTTP that only sends people to the relay.
    case redirect(toPort: Int)

    /// The answer to a request that is not served on this listener; nil when it is.
    func redirection(for head: RequestHead) -> HTTPRefusal? {
        guard case .redirect(let port) = self, head.path != "/healthz" else { return nil }
        guard let host = head.host else { return .malformed("there is no Host field") }
        // The port goes; the colons of an IPv6 address, inside brackets, stay.
        let end = host.lastIndex(of: ":").flatMap { host[$0...].contains("]") ? nil : $0 } ?? host.endIndex
        let authority = port == 443 ? String(host[..<end]) : "\(host[..<end]):\(port)"
        // The query stays behind: it may hold a token, which must not be said again in the clear.
        return HTTPRefusal(
            status: .permanentRedirect, code: "use_https", message: "this relay speaks HTTPS",
            fields: [.init(name: "Location", value: "https://\(authority)\(head.path)")]
        )
    }
}
