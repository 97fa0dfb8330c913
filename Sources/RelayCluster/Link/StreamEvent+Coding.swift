// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// A stream's event as fields of a message: `event`, and `bytes` and `code` where there are any.
extension StreamEvent {
    /// The values of `event`.
    private enum Name: String, Codable {
        case parked, joined, finished, cut
    }

    init(_ fields: ObjectReader) throws {
        let bytes: UInt64? = try fields.find("bytes")
        let code: FailureCode? = try fields.find("code")
        switch (try fields.get("event", as: Name.self), bytes, code) {
        case (.parked, nil, nil): self = .downloadParked
        case (.joined, nil, nil): self = .joined
        case (.finished, let bytes?, nil): self = .finished(bytes: bytes)
        case (.cut, let bytes?, let code?): self = .cut(code, bytes: bytes)
        case (.parked, _, _), (.joined, _, _), (.finished, _, _), (.cut, _, _):
            throw fields.problem("an event with fields of another")
        }
    }

    /// The keys and values.
    var fields: [(String, any Encodable)] {
        switch self {
        case .downloadParked: [("event", Name.parked)]
        case .joined: [("event", Name.joined)]
        case .finished(let bytes): [("event", Name.finished), ("bytes", bytes)]
        case .cut(let code, let bytes): [("event", Name.cut), ("bytes", bytes), ("code", code)]
        }
    }
}
