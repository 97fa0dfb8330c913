// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import WSProtocol

/// An HTTP answer other than the one that was hoped for, or the short one behind an upload.
struct HTTPAnswer: Hashable, Sendable {
    let status: Int
    /// The `code` of the JSON body (docs/wire-protocol.md, section 2.3), when there is one.
    let code: FailureCode?
    /// The `bytes` of the JSON body, when there are any.
    let bytes: UInt64?
    /// What Retry-After says in seconds (RFC 9110, section 10.2.3); nil without it, and for a date.
    let retryAfter: TimeAmount?

    /// Reads what the relay's own answers hold; a body of another kind, such as a proxy's page, leaves the fields nil.
    init(status: Int, body: ByteBuffer, retryAfter: String? = nil) {
        self.status = status
        self.retryAfter = retryAfter.flatMap { Int64($0) }.flatMap { (0...86_400).contains($0) ? .seconds($0) : nil }
        let fields = StrictJSON.decode(Fields.self, from: body.readableBytesView)
        code = fields?.code.flatMap(FailureCode.init(rawValue:))
        bytes = fields?.bytes
    }

    init(status: Int, code: FailureCode? = nil, bytes: UInt64? = nil, retryAfter: TimeAmount? = nil) {
        self.status = status
        self.code = code
        self.bytes = bytes
        self.retryAfter = retryAfter
    }

    private struct Fields: Decodable {
        var code: String?
        var bytes: UInt64?
    }
}
