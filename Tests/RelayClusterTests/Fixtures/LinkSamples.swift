// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// Values that tests of links share.
enum LinkSamples {
    static let (a, b) = (NodeID(rawValue: "a")!, NodeID(rawValue: "b")!)
    static let transfer = TransferID(bytes: 0..<16)!
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// The `number`th incarnation.
    static func incarnation(_ number: UInt8) -> Incarnation {
        Incarnation(bytes: [UInt8](repeating: number, count: 16))!
    }

    static let endA = NodeInstance(node: a, incarnation: incarnation(1))
    static let endB = NodeInstance(node: b, incarnation: incarnation(2))
    static let addressB = NodeAddress(host: "b.test", port: 1, incarnation: endB.incarnation)

    /// A message that can be told from others by its number.
    static func message(_ number: UInt64) -> NodeMessage { .left(session: number, transfer: transfer) }
}

extension LinkAction {
    /// Whether this reports a loss.
    var isLoss: Bool { if case .lost = self { true } else { false } }

    /// The frame this puts on a connection, if it does.
    var frame: LinkFrame? {
        switch self {
        case .say(let frame, _): frame
        case .write(let text, _): try? LinkCodec.decode(text)
        case .resolve, .dial, .deliver, .close, .reject, .lost: nil
        }
    }
}
