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

    private func seal(_ query: PullQuery = .list(.top), signedBy person: Person? = nil) throws -> [UInt8] {
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
        let paths = [try PullPath("a"), try PullPath("b/c")]
        let transfer = try #require(CarriedTransfer(bytes: [UInt8](repeating: 7, count: 16)))
        let broken = try #require(BrokenTransfer(transfer: transfer, manifest: [UInt8](repeating: 8, count: 32)))
        for query in [PullQuery.list(paths[1]), .list(.top), .fetch(paths), .fetch(paths, resuming: broken)] {
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

    private static let resume = #""resume":{"transfer":"AAAAAAAAAAAAAAAAAAAAAA","manifest":"#

    @Test(arguments: [
        "{}", "[]", #"{"list":"a","fetch":["b"]}"#, #"{"fetch":[]}"#, #"{"list":7}"#, "", #"{"list":"/"}"#,
        #"{"list":"/a"}"#, #"{"list":"a/"}"#, #"{"list":"a//b"}"#, #"{"list":".."}"#, #"{"list":"a/../b"}"#,
        #"{"list":"./a"}"#, #"{"list":"a\u0000"}"#, #"{"fetch":[""]}"#, #"{"fetch":["a",""]}"#,
        #"{"fetch":["a","../b"]}"#, #"{"fetch":["a/c","b/c"]}"#, #"{"fetch":["a","a"]}"#,
        #"{"fetch":["a"],"# + resume + #""AAAA"}}"#,
        #"{"list":"a","# + resume + "\"" + String(repeating: "A", count: 43) + "\"}}",
        #"{"list":""# + String(repeating: "a/", count: 1_025) + #"a"}"#,
        #"{"fetch":[""# + String(repeating: "a", count: 256) + #""]}"#,
    ])
    func refusesAQueryThatIsNone(_ json: String) { #expect(PullQuery(Array(json.utf8)) == nil) }

    @Test func takesTheDeepestPathThereMayBe() throws {
        let json = #"{"list":""# + String(repeating: "a/", count: 1_024) + #"a"}"#
        guard case .list(let path)? = PullQuery(Array(json.utf8)) else { throw SealingError.malformed(.request) }
        #expect(path.names.count == 1_025)
    }

    @Test func knowsWhatAnswersIt() throws {
        let fetch = PullQuery.fetch([try PullPath("b/z"), try PullPath("a")])
        #expect(fetch.names.map(\.text) == ["a", "z"])
        #expect(fetch.isAnswered(by: OfferSummary(names: ["a", "z"], entries: 2, kind: .several)))
        for names in [["a"], ["z", "a"], ["a", "z", "zz"], ["b", "z"], []] {
            #expect(!fetch.isAnswered(by: OfferSummary(names: names, kind: .several)))
        }
        #expect(!fetch.isAnswered(by: OfferSummary(names: ["a", "z"], kind: .folder)))
        let one = PullQuery.fetch([try PullPath("b/z")])
        for kind in OfferSummary.Kind.allCases {
            #expect(one.isAnswered(by: OfferSummary(names: ["z"], kind: kind)) == (kind != .several))
            let listing = OfferSummary(names: ["listing"], kind: kind)
            #expect(PullQuery.list(.top).isAnswered(by: listing) == (kind == .stream))
        }
        #expect(!PullQuery.list(.top).isAnswered(by: OfferSummary(names: ["z"], kind: .stream)))
        // Of many, the first are named.
        let many = PullQuery.fetch(try (10..<30).map { try PullPath("a/\($0)") })
        #expect(many.isAnswered(by: OfferSummary(names: (10..<18).map(String.init), entries: 20, kind: .several)))
        #expect(!many.isAnswered(by: OfferSummary(names: (10..<19).map(String.init), entries: 20, kind: .several)))
    }
}
