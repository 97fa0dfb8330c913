// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay
import TransferBroker
import WebSocketTransport

/// Reads the answer to a WebSocket upgrade (RFC 6455, section 4.1): a value type, fed with whatever has arrived.
struct UpgradeAnswer {
    /// What is known after feeding.
    enum Outcome: Hashable {
        case needMore
        /// It is a WebSocket now; whatever is left in the buffer belongs to it.
        case upgraded
        /// It is not; what is wrong.
        case refused(String)
    }

    private let key: WebSocketKey
    private let subprotocol: String
    private var line: [UInt8] = []
    private var length = 0
    private var hasStatus = false
    private var fields: [String: [String]] = [:]

    /// - Parameter key: that of the request.
    init(to key: WebSocketKey, subprotocol: String) {
        self.key = key
        self.subprotocol = subprotocol
    }

    /// Consumes bytes up to the end of the head.
    mutating func feed(_ buffer: inout ByteBuffer) -> Outcome {
        while let byte: UInt8 = buffer.readInteger() {
            length += 1
            guard length <= Defaults.Link.upgradeHead else { return .refused("the answer's head is too long") }
            guard byte == 0x0A else {
                line.append(byte)
                continue
            }
            guard line.popLast() == 0x0D else { return .refused("the answer is not HTTP") }
            if hasStatus {
                if line.isEmpty { return verdict }
                guard let field = try? FieldLine.parse(line[...]) else { return .refused("the answer is not HTTP") }
                fields[field.name, default: []].append(field.value)
            } else {
                guard line.starts(with: Array("HTTP/1.1 101 ".utf8)) else { return .refused("the answer is not 101") }
                hasStatus = true
            }
            line.removeAll(keepingCapacity: true)
        }
        return .needMore
    }

    private var verdict: Outcome {
        switch key.fault(subprotocol: subprotocol, values: { fields[$0] ?? [] }) {
        case nil: .upgraded
        case .notWebSocket: .refused("the answer is not that of a WebSocket")
        case .otherSubprotocol:
            .refused("the other node speaks another version: all nodes of a cluster run the same")
        }
    }
}
