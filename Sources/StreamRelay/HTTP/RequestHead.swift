// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Everything of an HTTP/1.1 request before its body, checked: nothing in it is ambiguous (RFC 9112).
package struct RequestHead: Hashable, Sendable {
    /// The method as it was sent; methods are case-sensitive.
    package var method: String
    /// The path, as it was sent, without the query.
    package var path: String
    /// The query without its question mark; nil when there is none.
    package var query: String?
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    var minorVersion: Int
    /// The Host field's value in lower case; nil only for HTTP/1.0.
    package var host: String?
    /// How the body is delimited.
    package var framing: BodyFraming
    /// Whether the client waits for `100 Continue` before it sends the body.
    var expectsContinue: Bool
    /// All fields in order, names in lower case.
    package var fields: [Field]

    /// One header field.
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The values of every field called `name` (lower case).
    package func values(of name: String) -> [String] {
        fields.filter { $0.name == name }.map(\.value)
    }

    /// The comma-separated members of all fields called `name`, trimmed, in lower case (RFC 9110, section 5.6.1).
    package func members(of name: String) -> [String] { FieldList.members(of: values(of: name)) }
}

/// How a request's body is delimited (RFC 9112, section 6).
package enum BodyFraming: Hashable, Sendable {
    case none
    case length(UInt64)
    case chunked
}
