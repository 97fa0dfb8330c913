// SPDX-License-Identifier: Apache-2.0

import StreamRelay

/// What a request to the node listener asks for: one of the resources of `docs/cluster-protocol.md`.
enum LinkRoute: Hashable, Sendable {
    case link(WebSocketHandshake)
    case stream
    /// What an operator asks of this node by way of the caller.
    case inquiry(String)

    static let linkPath = "/link"
    static let streamPath = "/stream"
    static let inquiryPath = "/inquiry"
    /// The field that an inquiry stands in.
    static let inquiryField = "Relay-Inquiry"
    /// The version of what is spoken on links.
    static let subprotocol = "relay-node.v1"

    /// Finds the route of `head`, or says why there is none.
    init(_ head: RequestHead) throws(HTTPError) {
        switch (head.method, head.path) {
        case ("GET", Self.linkPath):
            guard head.framing == .none else { throw .malformed("this request must not have a body") }
            self = .link(try WebSocketHandshake(head, subprotocol: Self.subprotocol))
        case ("PUT", Self.streamPath):
            guard head.framing != .none else {
                throw HTTPError(
                    status: .lengthRequired, code: "length_required",
                    message: "a stream needs a Content-Length or Transfer-Encoding: chunked")
            }
            self = .stream
        case ("POST", Self.inquiryPath):
            let inquiries = head.values(of: Self.inquiryField.lowercased())
            guard head.framing == .length(0), inquiries.count == 1, let inquiry = inquiries.first else {
                throw .malformed("\(Self.inquiryField) has to hold one inquiry, and there is no body")
            }
            self = .inquiry(inquiry)
        default:
            throw HTTPError(status: .notFound, code: "not_found", message: "there is nothing here for a node")
        }
    }
}
