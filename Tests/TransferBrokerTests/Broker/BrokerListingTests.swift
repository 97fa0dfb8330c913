// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite("What an operator is shown of a broker")
struct BrokerListingTests {
    @Test("what moves comes first, with its names, its age and its node")
    func order() {
        var fixture = BrokerFixture()
        let alice = fixture.open("alice", receiving: false)
        _ = fixture.offer(alice, to: "nobody-here")
        let running = fixture.streaming()
        let now = fixture.now + .seconds(5)
        let listing = fixture.broker.listing(limit: 10, now: now)
        #expect(listing.transfers.map(\.state) == ["streaming", "waiting"])
        #expect(listing.transfers.first?.id == running.transfer)
        #expect(listing.transfers.first?.node == fixture.broker.node)
        #expect(listing.transfers.allSatisfy { $0.age >= .seconds(5) })
        #expect(listing.transfers.last?.recipient.rawValue == "nobody-here")
        #expect(listing.sessions.count == fixture.broker.status.sessions)
        #expect(listing.sessions.first { $0.id == running.receiver }?.transfers == 1)
    }

    @Test("never more than was asked for, of ten thousand sessions")
    func bounded() {
        var fixture = BrokerFixture()
        for number in 0..<10_000 { _ = fixture.open("user\(number)") }
        let listing = fixture.broker.listing(limit: 200, now: fixture.now)
        #expect(listing.sessions.count == 200)
        #expect(fixture.broker.status.sessions == 10_000)
        #expect(fixture.broker.listing(limit: 0, now: fixture.now) == BrokerListing())
    }
}
