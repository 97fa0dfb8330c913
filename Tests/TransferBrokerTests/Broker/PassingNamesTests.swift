// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

/// Names whose sessions go over from one process to the one that takes its place.
@Suite struct PassingNamesTests {
    private var fixture = BrokerFixture()
    private static let time = TimeAmount.seconds(15)

    private mutating func expect(_ names: String...) {
        _ = fixture.handle(.namesExpected(names.map { BrokerFixture.user($0).name }, within: Self.time))
    }

    /// Whether `session` is told that bob is online.
    private mutating func isOnline(_ session: SessionID, _ name: String = "bob") -> Bool? {
        let user = BrokerFixture.user(name)
        let actions = fixture.ask(session, found: LookupResult(user: user, elsewhere: .none)) {
            .lookup(.init(id: $0, name: user.name))
        }
        guard case .send(session, .peer(let peer))? = actions.first else { return nil }
        return peer.online
    }

    @Test mutating func whoIsExpectedIsThere() {
        let alice = fixture.open("alice", receiving: false)
        #expect(isOnline(alice) == false)
        expect("bob", "carol")
        #expect(isOnline(alice) == true && isOnline(alice, "carol") == true && isOnline(alice, "dave") == false)
        #expect(fixture.broker.namesThere == Set(["bob", "carol"].map { BrokerFixture.user($0).name }))
        // The one who comes and leaves is not expected any more.
        let bob = fixture.open("bob")
        #expect(isOnline(alice) == true)
        _ = fixture.handle(.sessionClosed(bob))
        #expect(isOnline(alice) == false)
        fixture.now = fixture.now + Self.time
        _ = fixture.handle(.timerFired)
        #expect(isOnline(alice, "carol") == false)
    }

    @Test(arguments: [true, false])
    mutating func anOfferToAnExpectedNameRingsOnceItComes(waits: Bool) {
        let alice = fixture.open("alice", receiving: false)
        expect("bob")
        let (transfer, offered) = fixture.offer(alice, to: "bob", wait: waits)
        #expect(summary(offered) == ["1:ringing"])
        #expect(fixture.broker.brokenInvariant(now: fixture.now) == nil)
        // The sender is not told again.
        let bob = fixture.open("bob", receiving: false)
        #expect(summary(fixture.ask(bob) { .presence(.init(id: $0, receiving: true)) }) == ["2:ok", "2:ring"])
        fixture.now = fixture.now + Self.time
        #expect(summary(fixture.handle(.timerFired)) == [])
        #expect(summary(fixture.accept(bob, transfer)) == ["2:start", "1:accepted"])
        #expect(fixture.broker.brokenInvariant(now: fixture.now) == nil)
    }

    @Test(arguments: [true, false])
    mutating func anOfferToANameThatDoesNotComeIsAnyOtherOffer(waits: Bool) {
        let alice = fixture.open("alice", receiving: false)
        expect("bob")
        _ = fixture.offer(alice, to: "bob", wait: waits)
        fixture.now = fixture.now + Self.time - .nanoseconds(1)
        #expect(summary(fixture.handle(.timerFired)) == [])
        fixture.now = fixture.now + .nanoseconds(1)
        #expect(summary(fixture.handle(.timerFired)) == [waits ? "1:waiting" : "1:failed.peer_offline"])
        #expect(fixture.broker.brokenInvariant(now: fixture.now) == nil)
        #expect(summary(fixture.offer(alice, to: "bob", wait: false).1) == ["1:error.peer_offline"])
    }

    /// A person has to have a second device for this, whichever names are on their way.
    @Test mutating func anOfferToOnesOwnNameExpectsNoOtherSession() {
        let alice = fixture.open("alice")
        #expect(summary(fixture.offer(alice, to: "alice", wait: false).1) == ["1:error.peer_offline"])
    }

    @Test mutating func whoHasGoneToTheNextProcessIsThereUntilAllHaveGone() {
        let (alice, bob, dave) = (fixture.open("alice"), fixture.open("bob"), fixture.open("dave"))
        let carol = fixture.open("carol", receiving: false)
        _ = fixture.handle(.moveBegun(within: .seconds(10), toSuccessor: true))
        _ = fixture.handle(.drainBegun)
        for session in [bob, carol] { _ = fixture.handle(.sessionClosed(session)) }
        #expect(isOnline(alice) == true && isOnline(alice, "carol") == false, "carol took nothing")
        // One who has a transfer here keeps the session for it.
        _ = fixture.ask(dave) { .presence(.init(id: $0, receiving: false)) }
        #expect(isOnline(alice, "dave") == true)
        fixture.now = fixture.now + .seconds(10)
        _ = fixture.handle(.timerFired)
        #expect(isOnline(alice) == false)
    }

    /// In a cluster the others know: a name that has gone elsewhere is there.
    @Test mutating func whoLeavesANodeThatStopsIsNotThere() {
        _ = fixture.handle(.namesExpected([], within: Self.time))
        let (alice, bob) = (fixture.open("alice"), fixture.open("bob"))
        _ = fixture.handle(.moveBegun(within: .seconds(10)))
        _ = fixture.handle(.drainBegun)
        _ = fixture.handle(.sessionClosed(bob))
        #expect(isOnline(alice) == false)
    }
}
