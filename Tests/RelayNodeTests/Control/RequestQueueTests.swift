// SPDX-License-Identifier: Apache-2.0

import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct RequestQueueTests {
    private let bob = PeerName(rawValue: "bob")!
    private let transfer = TransferID.random()

    private func id(_ number: UInt64) -> RequestID { .sequence(.client, number) }
    private func cancel(_ number: UInt64) -> ClientMessage.Cancel {
        .init(id: id(number), transfer: transfer, code: .cancelled)
    }

    @Test func nothingOvertakesARequestThatWaitsForTheRegistry() {
        var queue = RequestQueue(capacity: 2)
        let lookup = ClientMessage.lookup(.init(id: id(1), name: bob))
        #expect(queue.requestReceived(lookup) == .find(bob, for: lookup))
        #expect(queue.requestReceived(.cancel(cancel(2))) == .nothing)
        #expect(queue.hasRoom)
        #expect(queue.requestReceived(lookup) == .nothing)
        #expect(!queue.hasRoom)
        #expect(queue.requestReceived(.progress(.init(id: id(4), transfer: transfer, bytes: 1))) == .nothing)
        #expect(queue.finished() == .run(.cancel(cancel(2))))
        #expect(queue.hasRoom)
        #expect(queue.finished() == .find(bob, for: lookup))
        #expect(queue.finished() == .nothing)
        #expect(queue.requestReceived(.cancel(cancel(5))) == .run(.cancel(cancel(5))))
    }
}
