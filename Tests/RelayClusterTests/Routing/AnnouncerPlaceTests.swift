// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("When a place in Redis is ours")
struct AnnouncerPlaceTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let epoch = Epoch.random()
    private let own = ListenAddress(host: "10.0.0.1", port: 1)

    /// An announcer that looks for its place.
    private func joining(ownsAddress: Bool = false) -> Announcer {
        var limits = Announcer.Limits()
        (limits.life, limits.renewal) = (.seconds(15), .seconds(3))
        var announcer = Announcer(node: .test("a"), incarnation: .random(), limits: limits)
        (announcer.address, announcer.ownsAddress) = (own, ownsAddress)
        announcer.connected()
        return announcer
    }

    private func presence(_ address: ListenAddress) throws -> String {
        try #require(
            NodePresence(incarnation: .random(), address: address, version: Label(clipping: "1")).text)
    }

    /// Looks while the other's presence has this long to live; returns what the next look would replace.
    private func look(_ announcer: inout Announcer, _ text: String, milliseconds: Int64) -> (
        actions: [AnnouncerAction], replacing: String?
    ) {
        announcer.lookAtEpoch()
        #expect(announcer.next(now: now) == .presence(replacing: nil))
        let actions = announcer.answered(.taken(text, remaining: .milliseconds(milliseconds)))
        guard case .presence(let replacing?) = announcer.next(now: now) else { return (actions, nil) }
        _ = announcer.failed()
        return (actions, replacing)
    }

    @Test("at an address that others may have too, only one that misses its renewal is replaced")
    func silent() throws {
        let text = try presence(own)
        var announcer = joining()
        // It lives, whatever its address.
        for milliseconds: Int64 in [14_000, 13_000, 12_100, 14_900, 12_000, 11_900, 15_000] {
            #expect(look(&announcer, text, milliseconds: milliseconds).replacing == nil)
        }
        #expect(look(&announcer, text, milliseconds: 12_000).replacing == nil)
        let other = try presence(own)
        #expect(look(&announcer, other, milliseconds: 11_000).replacing == nil, "another start of it")
        #expect(look(&announcer, other, milliseconds: 8_000).replacing == nil)
        let last = look(&announcer, other, milliseconds: 7_200)
        #expect(last.replacing == other && last.actions == [])
        // One somewhere else has the rest of its life to come back.
        var patient = joining()
        let elsewhere = try presence(ListenAddress(host: "10.0.0.2", port: 1))
        for milliseconds: Int64 in [14_000, 9_000, 4_000, 10] {
            #expect(look(&patient, elsewhere, milliseconds: milliseconds).replacing == nil)
        }
    }

    @Test("one that lives is told apart at its first renewal")
    func alive() throws {
        var announcer = joining()
        let text = try presence(own)
        _ = look(&announcer, text, milliseconds: 13_000)
        let actions = look(&announcer, text, milliseconds: 14_500).actions
        guard case .taken(_, isRenewed: true)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        var owner = joining(ownsAddress: true)
        #expect(look(&owner, text, milliseconds: 13_000).replacing == text, "nobody else can be there")
    }

    @Test("a place whose life has passed without a renewal is not ours; with it everything is written again")
    func runOut() {
        var announcer = joining()
        _ = announcer.next(now: now)
        _ = announcer.answered(.held(epoch, isNew: false))
        announcer.setReceiving(.test("bob"), sessions: [1])
        _ = announcer.next(now: now)
        _ = announcer.succeeded()
        for second: Int64 in stride(from: 3, to: 15, by: 3) {
            announcer.tick(now: now + .seconds(second))
            #expect(announcer.next(now: now + .seconds(second)) == .presence(replacing: nil))
            #expect(announcer.failed() == [])
            #expect(announcer.state == .held)
        }
        announcer.tick(now: now + .seconds(15))
        #expect(announcer.state == .joining)
        #expect(announcer.next(now: now + .seconds(15)) == .presence(replacing: nil))
        #expect(announcer.answered(.held(epoch, isNew: false)) == [.joined(epoch), .restoreUsers])
        guard case .routes(let writes) = announcer.next(now: now) else {
            Issue.record("nothing is written")
            return
        }
        #expect(writes.map(\.route) == [.receiving(.test("bob"))])
    }

    @Test("an epoch counts as written once nothing waits to be")
    func written() {
        var announcer = joining()
        _ = announcer.next(now: now)
        #expect(announcer.written == nil)
        _ = announcer.answered(.held(epoch, isNew: false))
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.written == epoch)
        let other = Epoch.random()
        _ = announcer.answered(.held(other, isNew: false))
        announcer.restore([.test("bob")])
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.written == epoch, "bob is not there yet")
        _ = announcer.answered(.held(other, isNew: false))
        _ = announcer.next(now: now)
        _ = announcer.succeeded()
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.written == other)
    }

    @Test("users that cannot be written keep nothing else from being written")
    func users() {
        var announcer = joining()
        _ = announcer.next(now: now)
        _ = announcer.answered(.held(epoch, isNew: false))
        let users = [User.test("bob")]
        announcer.restore(users)
        #expect(announcer.next(now: now) == .users(users))
        _ = announcer.failed()
        #expect(announcer.next(now: now) == nil, "not at once")
        announcer.setReceiving(.test("bob"), sessions: [1])
        guard case .routes = announcer.next(now: now) else {
            Issue.record("no route")
            return
        }
        _ = announcer.succeeded()
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        _ = announcer.answered(.held(epoch, isNew: false))
        _ = announcer.next(now: now)
        _ = announcer.succeeded()
        #expect(announcer.next(now: now) == .users(users))
    }
}
