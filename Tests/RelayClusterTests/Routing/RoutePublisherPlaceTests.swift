// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("When the presence in Redis is this process's")
struct RoutePublisherPlaceTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let epoch = Epoch.random()
    private let own = ListenAddress(host: "10.0.0.1", port: 1)

    /// A publisher that asks for its presence.
    private func joining(ownsAddress: Bool = false) -> RoutePublisher {
        let timing = RoutingTiming(renewal: .seconds(3), life: .seconds(15))
        var publisher = RoutePublisher(node: .test("a"), incarnation: .random(), timing: timing)
        publisher.begin(at: own, ownsAddress: ownsAddress)
        publisher.connected()
        return publisher
    }

    private func presence(_ address: ListenAddress) throws -> String {
        try #require(
            NodePresence(incarnation: .random(), address: address, version: Label(clipping: "1")).text)
    }

    /// Asks for the presence while the other's has this long to live; returns what would be replaced next.
    private func ask(_ publisher: inout RoutePublisher, _ text: String, milliseconds: Int64) -> (
        actions: [RoutePublisherAction], replacing: String?
    ) {
        publisher.checkEpoch()
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        let actions = publisher.answered(.taken(text, remaining: .milliseconds(milliseconds)))
        guard case .presence(let replacing?) = publisher.next(now: now) else { return (actions, nil) }
        _ = publisher.failed()
        return (actions, replacing)
    }

    @Test("at an address that others may have too, only one that misses its renewal is replaced")
    func silent() throws {
        let text = try presence(own)
        var publisher = joining()
        // It lives, whatever its address.
        for milliseconds: Int64 in [14_000, 13_000, 12_100, 14_900, 12_000, 11_900, 15_000] {
            #expect(ask(&publisher, text, milliseconds: milliseconds).replacing == nil)
        }
        #expect(ask(&publisher, text, milliseconds: 12_000).replacing == nil)
        let other = try presence(own)
        #expect(ask(&publisher, other, milliseconds: 11_000).replacing == nil, "another start of it")
        #expect(ask(&publisher, other, milliseconds: 8_000).replacing == nil)
        let last = ask(&publisher, other, milliseconds: 7_200)
        #expect(last.replacing == other && last.actions == [])
        // One somewhere else has the rest of its life to come back.
        var patient = joining()
        let elsewhere = try presence(ListenAddress(host: "10.0.0.2", port: 1))
        for milliseconds: Int64 in [14_000, 9_000, 4_000, 10] {
            #expect(ask(&patient, elsewhere, milliseconds: milliseconds).replacing == nil)
        }
    }

    @Test("another live process is recognised at its first renewal")
    func alive() throws {
        var publisher = joining()
        let text = try presence(own)
        _ = ask(&publisher, text, milliseconds: 13_000)
        let actions = ask(&publisher, text, milliseconds: 14_500).actions
        guard case .taken(_, isRenewed: true)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        var owner = joining(ownsAddress: true)
        #expect(ask(&owner, text, milliseconds: 13_000).replacing == text, "no other process can be there")
    }

    @Test("a presence that was not renewed for its life is taken again, and everything is written again")
    func runOut() {
        var publisher = joining()
        _ = publisher.next(now: now)
        _ = publisher.answered(.held(epoch, isNew: false))
        publisher.setReceiving(.test("bob"), sessions: [1])
        _ = publisher.next(now: now)
        _ = publisher.succeeded()
        for second: Int64 in stride(from: 3, to: 15, by: 3) {
            publisher.tick(now: now + .seconds(second))
            #expect(publisher.next(now: now + .seconds(second)) == .presence(replacing: nil))
            #expect(publisher.failed() == [])
            #expect(publisher.state == .held)
        }
        publisher.tick(now: now + .seconds(15))
        #expect(publisher.state == .joining)
        #expect(publisher.next(now: now + .seconds(15)) == .presence(replacing: nil))
        #expect(publisher.answered(.held(epoch, isNew: false)) == [.joined(epoch), .restoreUsers])
        guard case .routes(let writes) = publisher.next(now: now) else {
            Issue.record("nothing is written")
            return
        }
        #expect(writes.map(\.route) == [.receiving(.test("bob"))])
    }

    @Test("an epoch counts as written once nothing waits to be written")
    func written() {
        var publisher = joining()
        _ = publisher.next(now: now)
        #expect(publisher.written == nil)
        _ = publisher.answered(.held(epoch, isNew: false))
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.written == epoch)
        let other = Epoch.random()
        _ = publisher.answered(.held(other, isNew: false))
        publisher.restore([.test("bob")])
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.written == epoch, "bob is not there yet")
        _ = publisher.answered(.held(other, isNew: false))
        _ = publisher.next(now: now)
        _ = publisher.succeeded()
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.written == other)
    }

    @Test("users that cannot be written do not delay other writes")
    func users() {
        var publisher = joining()
        _ = publisher.next(now: now)
        _ = publisher.answered(.held(epoch, isNew: false))
        let users = [User.test("bob")]
        publisher.restore(users)
        #expect(publisher.next(now: now) == .users(users))
        _ = publisher.failed()
        #expect(publisher.next(now: now) == nil, "not at once")
        publisher.setReceiving(.test("bob"), sessions: [1])
        guard case .routes = publisher.next(now: now) else {
            Issue.record("no route")
            return
        }
        _ = publisher.succeeded()
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        _ = publisher.answered(.held(epoch, isNew: false))
        _ = publisher.next(now: now)
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .users(users))
    }
}
