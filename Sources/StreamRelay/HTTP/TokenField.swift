// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

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
