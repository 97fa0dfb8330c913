// SPDX-License-Identifier: Apache-2.0

import StreamRelay

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
