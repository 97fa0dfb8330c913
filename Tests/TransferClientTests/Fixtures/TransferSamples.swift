// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Values that the tests of both machines use. None can be nil: the texts are of the right form.
enum TransferSamples {
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    static func after(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    static let transfer = TransferID.random()
    static let token = Token.random()
    static let payload = Payload(bytes: [1, 2, 3]) ?? .empty
    static let other = Payload(bytes: [4]) ?? .empty
    static let requestIDs = (1...4).map { RequestID.sequence(.client, $0) }
    static let alice = PeerName(rawValue: "alice")
    static let offer = alice.map {
        ClientMessage.Offer(id: requestIDs[0], transfer: transfer, to: $0, wait: true, payload: payload)
    }
    static let ring = alice.map {
        ServerMessage.Ring(
            id: .sequence(.relay, 9), transfer: transfer, from: $0, key: .random(),
            payload: payload
        )
    }
}

extension Payload {
    fileprivate static let empty = Payload(bytes: []) ?? { preconditionFailure("an empty payload is a payload") }()
}
