// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct RequestTests {
    private let alice: Person
    private let bob: Person
    private let request: PullRequest

    init() throws {
        (alice, bob) = (try Person("alice", 1), try Person("bob", 2))
        request = try #require(PullRequest(bytes: [UInt8](repeating: 6, count: 16)))
    }

    private func seal(_ query: PullQuery = .list("/"), signedBy person: Person? = nil) throws -> [UInt8] {
        try RequestSealing.seal(
            query, as: request, from: alice.party, to: bob.party, bob.prekey(), signedBy: (person ?? alice).identity,
            time: Clock.november
        )
    }

    private func open(
        _ payload: [UInt8], from: Party? = nil, to: Party? = nil, time: UInt64 = Clock.november
    ) throws -> ReceivedRequest {
        try RequestSealing.open(
            payload, from: from ?? alice.party, to: to ?? bob.party, with: bob.ratchet, time: time
        )
    }

    @Test func opensForTheOneItIsFor() throws {
        for query in [PullQuery.list("photos"), .list(""), .fetch(["a", "b/c"])] {
            let opened = try open(seal(query))
            #expect(opened == ReceivedRequest(request: request, time: Clock.november, query: query))
        }
    }

    @Test func isRefusedWithAnythingSwapped() throws {
        let payload = try seal()
        let swaps: [(Party?, Party?)] = [
            (try Person("alice", 3).party, nil), (nil, try Person("bob", 3).party), (bob.party, alice.party),
            (try alice.party.named("alicia"), nil), (nil, try bob.party.named("robert")),
        ]
        for (from, to) in swaps {
            #expect(throws: SealingError.doesNotOpen(.request)) { try open(payload, from: from, to: to) }
        }
        var other = payload
        other[5] ^= 1
        #expect(throws: SealingError.doesNotOpen(.request)) { try open(other) }
        let forged = try seal(signedBy: Person("mallory", 4))
        #expect(throws: SealingError.signature(.request)) { try open(forged) }
        #expect(throws: SealingError.staleOffer(milliseconds: -Int64(Clock.day) - 1)) {
            try open(payload, time: Clock.november + Clock.day + 1)
        }
        // An offer is no request, to the same prekey and from the same sender.
        let attempt = try Attempt()
        #expect(throws: SealingError.doesNotOpen(.request)) { try open(attempt.offer.payload) }
        for length in [0, 1, 20, 21, 1_141, payload.count - 1] {
            #expect(throws: SealingError.self) { try open(Array(payload.prefix(length))) }
        }
        #expect(throws: SealingError.otherSuite(3)) { try open([3] + payload.dropFirst()) }
    }

    @Test(arguments: ["{}", "[]", #"{"list":"a","fetch":["b"]}"#, #"{"fetch":[]}"#, #"{"list":7}"#, ""])
    func refusesAQueryThatIsNone(_ json: String) { #expect(PullQuery(Array(json.utf8)) == nil) }
}
