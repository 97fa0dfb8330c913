// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Why a data stream ended before its time.
package enum StreamError: Error, Hashable, Sendable {
    /// There is no connection to the relay.
    case connection(ConnectionError)
    /// The relay answered with an error.
    case refused(HTTPResponse)
    /// The connection ended in the middle.
    case cut
    /// Nothing was heard for too long.
    case silent
    /// The relay named an address that cannot be used.
    case badAddress

    /// The code of the protocol's table that says it best.
    ///
    /// - Parameter role: which half of the transfer this stream was.
    package func code(as role: TransferRole) -> FailureCode {
        switch self {
        case .connection: .unavailable
        case .refused(let answer): answer.code ?? Self.code(of: answer)
        case .cut: role == .upload ? .receiverGone : .senderGone
        case .silent: .stalled
        case .badAddress: .protocolError
        }
    }

    /// What an answer without a code of the table means. The relay's own says with a word of its log that the request
    /// made no sense to it; any other comes from something between us and the relay, such as a balancer or a portal.
    private static func code(of answer: HTTPResponse) -> FailureCode {
        switch answer.status {
        case 401, 403: .unknownTransfer
        case 408: .expired
        case 500, 502, 503, 504: .unavailable
        default: answer.isRelays ? .protocolError : .unavailable
        }
    }
}

extension StreamError {
    /// What happened, in a few words, while it is being tried again.
    package var summary: String {
        switch self {
        case .connection(let error): error.summary
        case .refused(let answer) where answer.isRelays:
            "the relay cannot take the stream now (status \(answer.status))"
        case .refused(let answer): "the stream was answered with status \(answer.status), and not by the relay"
        case .cut: "the stream was cut"
        case .silent: "the relay does not answer"
        case .badAddress: "the relay named an address that cannot be used"
        }
    }

    /// The error in the words of the transfer machines.
    package func failure(as role: TransferRole) -> StreamFailure {
        switch self {
        // No answer is no verdict: it may be tried again, as after a cut.
        case .connection, .cut, .silent: .cut
        case .refused(let answer): .refused(status: answer.status, code: code(as: role))
        case .badAddress: .refused(status: 0, code: code(as: role))
        }
    }
}

/// How one half of a transfer, the request for `/upload` or `/download`, ended before its time.
package enum StreamFailure: Hashable, Sendable {
    /// No connection could be made, or it was cut.
    case cut
    /// The relay answered with an error, and with a code if its body held one.
    case refused(status: Int, code: FailureCode?)
}

/// An HTTP answer other than the one that was hoped for, or the short one behind an upload.
package struct HTTPResponse: Hashable, Sendable {
    package let status: Int
    /// The `code` of the JSON body (docs/wire-protocol.md, section 2.3), when there is one.
    package let code: FailureCode?
    /// Whether the JSON body has a `code`, of the table or not: then it is the relay that has answered.
    package let isRelays: Bool
    /// The `bytes` of the JSON body, when there are any.
    package let bytes: UInt64?
    /// What Retry-After says in seconds (RFC 9110, section 10.2.3); nil without it, and for a date.
    package let retryAfter: TimeAmount?

    /// Reads what the relay's own answers hold; a body of another kind, such as a proxy's page, leaves the fields nil.
    package init(status: Int, body: ByteBuffer, retryAfter: String? = nil) {
        self.status = status
        self.retryAfter = retryAfter.flatMap { Int64($0) }.flatMap { (0...86_400).contains($0) ? .seconds($0) : nil }
        let fields = StrictJSON.decode(Fields.self, from: body.readableBytesView)
        code = fields?.code.flatMap(FailureCode.init(rawValue:))
        isRelays = fields?.code != nil
        bytes = fields?.bytes
    }

    package init(status: Int, code: FailureCode? = nil, bytes: UInt64? = nil, retryAfter: TimeAmount? = nil) {
        self.status = status
        self.code = code
        isRelays = code != nil
        self.bytes = bytes
        self.retryAfter = retryAfter
    }

    private struct Fields: Decodable {
        var code: String?
        var bytes: UInt64?
    }
}
