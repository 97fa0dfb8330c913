// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
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

    /// Reads what the relay's own answers hold; a body of another kind, such as a proxy's page, leaves the fields nil.
    init(status: Int, body: ByteBuffer) {
        self.status = status
        let fields = try? JSONDecoder().decode(Fields.self, from: Data(body.readableBytesView))
        code = fields?.code.flatMap(FailureCode.init(rawValue:))
        bytes = fields?.bytes
    }

    init(status: Int, code: FailureCode? = nil, bytes: UInt64? = nil) {
        self.status = status
        self.code = code
        self.bytes = bytes
    }

    private struct Fields: Decodable {
        var code: String?
        var bytes: UInt64?
    }
}
