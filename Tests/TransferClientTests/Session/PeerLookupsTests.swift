// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct PeerLookupsTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let alice: PeerName
    private let bob: PeerName
    private let ids = (1...3).map { RequestID.sequence(.client, $0) }

    init() throws {
        alice = try #require(PeerName(rawValue: "alice"))
        bob = try #require(PeerName(rawValue: "bob"))
    }

    private func peer(_ name: PeerName, _ id: RequestID) -> ServerMessage.Peer {
        .init(id: id, name: name, key: .random(), online: true)
    }

    @Test func eachNameIsAskedAboutOnce() {
        var lookups = PeerLookups()
        #expect(lookups.isUnasked(bob) && lookups.peer(bob) == nil && lookups.deadline == nil)
        lookups.asked(bob, as: ids[0], now: now)
        #expect(!lookups.isUnasked(bob) && lookups.peer(bob) == nil && lookups.isUnasked(alice))
        #expect(lookups.deadline == now + TransferDefaults.answerTimeout)
        let answer = peer(bob, ids[0])
        #expect(lookups.answered(answer) && lookups.peer(bob) == answer)
        #expect(!lookups.isUnasked(bob) && lookups.deadline == nil)
        // It is not asked any more: another answer changes nothing.
        #expect(!lookups.answered(peer(bob, ids[0])) && lookups.peer(bob) == answer)
    }

    @Test func onlyTheAnswerToTheQuestionCounts() {
        var lookups = PeerLookups()
        lookups.asked(bob, as: ids[0], now: now)
        lookups.asked(alice, as: ids[1], now: now)
        #expect(!lookups.answered(peer(bob, ids[2])) && !lookups.answered(peer(bob, ids[1])))
        #expect(lookups.peer(bob) == nil && lookups.peer(alice) == nil)
        #expect(lookups.refused(ids[2]) == nil)
        let answers = [peer(alice, ids[1]), peer(bob, ids[0])]
        #expect(lookups.answered(answers[0]) && lookups.answered(answers[1]))
        #expect(lookups.peer(alice) == answers[0] && lookups.peer(bob) == answers[1])
    }

    @Test func whatIsRefusedMayBeAskedAgain() {
        var lookups = PeerLookups()
        lookups.asked(bob, as: ids[0], now: now)
        #expect(lookups.refused(ids[0]) == bob && lookups.isUnasked(bob) && lookups.deadline == nil)
        #expect(lookups.refused(ids[0]) == nil)
        lookups.asked(bob, as: ids[1], now: now)
        #expect(lookups.answered(peer(bob, ids[1])) == true)
        // What is known is not a question that could be refused.
        #expect(lookups.refused(ids[1]) == nil && lookups.peer(bob) != nil)
    }

    @Test func whatHasChangedIsAskedAgain() {
        var lookups = PeerLookups()
        lookups.asked(bob, as: ids[0], now: now)
        _ = lookups.answered(peer(bob, ids[0]))
        lookups.forget(bob)
        #expect(lookups.isUnasked(bob) && lookups.peer(bob) == nil)
        lookups.forget(alice)
    }

    @Test func noAnswerIsWaitedForForEver() {
        var lookups = PeerLookups()
        let end = now + TransferDefaults.answerTimeout
        lookups.asked(bob, as: ids[0], now: now)
        lookups.asked(alice, as: ids[1], now: now + .seconds(1))
        #expect(lookups.deadline == end)
        #expect(lookups.deadlinePassed(now: end - .nanoseconds(1)).isEmpty)
        #expect(lookups.deadlinePassed(now: end) == [bob])
        #expect(lookups.isUnasked(bob) && lookups.deadline == end + .seconds(1))
        // It comes too late.
        #expect(lookups.answered(peer(bob, ids[0])) == false)
        lookups.asked(bob, as: ids[2], now: now)
        #expect(lookups.deadlinePassed(now: end + .seconds(1)) == [alice, bob])
        #expect(lookups.deadline == nil)
    }
}
