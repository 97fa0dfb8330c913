// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What a request asks for: one of the four resources of `docs/wire-protocol.md`, or something for people to see.
package enum Route: Hashable, Sendable {
    case control(WebSocketHandshake)
    case upload(Token)
    case download(Token)
    case health
    /// None of the four: what a person with a browser may ask for.
    case page

    /// The answer where there is no page either.
    package static let unknown = HTTPError(
        status: .notFound, code: "not_found",
        message: "there is nothing here: the resources are /ws, /upload, /download and /healthz"
    )

    /// Finds the route of `head`, or says why there is none.
    package init(_ head: RequestHead) throws(HTTPError) {
        switch head.path {
        case "/ws":
            try Self.require(["GET"], head)
            self = .control(try WebSocketHandshake(head))
        case "/upload":
            try Self.require(["PUT", "POST"], head)
            guard head.framing != .none else {
                throw HTTPError(
                    status: .lengthRequired, code: "length_required",
                    message: "an upload needs a Content-Length or Transfer-Encoding: chunked"
                )
            }
            self = .upload(try TokenField.token(of: head))
        case "/download":
            try Self.require(["GET"], head)
            guard head.minorVersion == 1 else {
                throw HTTPError(
                    status: .versionNotSupported, code: "version_not_supported",
                    message: "a download needs HTTP/1.1, because HTTP/1.0 cannot tell a cut from an end"
                )
            }
            self = .download(try TokenField.token(of: head))
        case "/healthz":
            try Self.require(["GET", "HEAD"], head)
            self = .health
        default: self = .page
        }
    }

    /// One of `methods`, and no body on those that have none.
    package static func require(_ methods: [String], _ head: RequestHead) throws(HTTPError) {
        guard methods.contains(head.method) else {
            throw HTTPError(
                status: .methodNotAllowed, code: "method_not_allowed",
                message: "this resource has other methods",
                fields: [.init(name: "Allow", value: methods.joined(separator: ", "))]
            )
        }
        let mayHaveBody = head.method == "PUT" || head.method == "POST"
        guard mayHaveBody || head.framing == .none || head.framing == .length(0) else {
            throw .malformed("this request must not have a body")
        }
    }
}

/// Where a request carries its token: `Authorization: Bearer T`, or `?token=T`, exactly once.
package enum TokenField {
    /// The answer to every token that opens nothing here, whatever the reason.
    package static let refused = HTTPError(
        status: .forbidden, code: "token_refused", message: "this token opens nothing here, or no longer"
    )

    /// Reads the token. A text that is not even of a token's form is refused like an unknown token.
    package static func token(of head: RequestHead) throws(HTTPError) -> Token {
        var found: [String] = []
        for value in head.values(of: "authorization") {
            let parts = value.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw missing }
            found.append(String(parts[1]))
        }
        for pair in (head.query ?? "").split(separator: "&", omittingEmptySubsequences: true) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard try percentDecoded(parts[0]) == "token" else { continue }
            found.append(parts.count == 2 ? try percentDecoded(parts[1]) : "")
        }
        guard found.count <= 1 else { throw .malformed("there is more than one token") }
        guard let text = found.first else { throw missing }
        guard let token = Token(rawValue: text) else { throw refused }
        return token
    }

    private static var missing: HTTPError {
        HTTPError(
            status: .unauthorized, code: "token_missing",
            message: "this request needs a token: Authorization: Bearer TOKEN",
            fields: [.init(name: "WWW-Authenticate", value: "Bearer")]
        )
    }

    private static func percentDecoded(_ text: Substring) throws(HTTPError) -> String {
        guard let bytes = PercentEncoding.decode(text) else {
            throw .malformed("the query has a percent sign that encodes nothing")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
