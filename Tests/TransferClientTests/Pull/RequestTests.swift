// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import Sealing
@testable import TransferClient

@Suite struct RequestBookTests {
    private let now: UInt64 = 1_795_867_200_000

    private let keys = (0...255).map { _ in SigningKey.random() }

    private func key(_ number: UInt8) throws -> SigningKey { keys[Int(number)] }

    private func request(_ number: Int, time: UInt64? = nil) throws -> ReceivedRequest {
        let bytes = withUnsafeBytes(of: UInt64(number).bigEndian, Array.init) + [UInt8](repeating: 0, count: 8)
        return ReceivedRequest(
            request: try #require(PullRequest(bytes: bytes)), time: time ?? now, query: .list(.top))
    }

    private func expect(_ verdict: RequestBook.Verdict, _ expected: RequestBook.Verdict) {
        #expect(verdict == expected)
    }

    @Test func oneThatWasSeenIsNotAnsweredAgain() throws {
        var book = RequestBook()
        expect(book.take(try request(1), from: try key(1), now: now), .answer)
        expect(book.take(try request(1), from: try key(1), now: now), .ignore)
        book.ended(try request(1).request)
        expect(book.take(try request(1), from: try key(1), now: now + 1), .ignore)
        #expect(Array(book.answering).isEmpty)
    }

    @Test func onlySoManyAreAnsweredAtOnce() throws {
        var book = RequestBook()
        for number in 0..<TransferDefaults.mostAnswersToOne {
            expect(book.take(try request(number), from: try key(1), now: now), .answer)
        }
        #expect(try !book.hasRoom(for: key(1)))
        expect(book.take(try request(99), from: try key(1), now: now), .refuse(.tooManyRequests))
        // Another one has not asked for anything yet.
        expect(book.take(try request(100), from: try key(2), now: now), .answer)
        book.ended(try request(0).request)
        expect(book.take(try request(99), from: try key(1), now: now), .answer)
    }

    @Test func onlySoManyAreAnsweredInAll() throws {
        var book = RequestBook()
        for number in 0..<TransferDefaults.mostAnswers {
            let requester = try key(UInt8(number / TransferDefaults.mostAnswersToOne + 1))
            expect(book.take(try request(number), from: requester, now: now), .answer)
        }
        #expect(try !book.hasRoom(for: key(200)))
    }

    @Test func whatCannotComeAgainIsForgottenInTime() throws {
        var book = RequestBook()
        let (day, minute) = (SealingDefaults.offerTolerance, TransferDefaults.seenRequestsCheck)
        for number in 0..<3 {
            let sent = now + UInt64(number) * minute
            expect(book.take(try request(number, time: sent), from: try key(1), now: sent), .answer)
            book.ended(try request(number).request)
        }
        #expect(book.remembered == 3)
        // The first can come no more; the second just can.
        let later = now + day + minute
        expect(book.take(try request(3, time: later), from: try key(1), now: later), .answer)
        #expect(book.remembered == 3)
        expect(book.take(try request(1, time: now + minute), from: try key(1), now: later), .ignore)
        expect(book.take(try request(4, time: later + day), from: try key(1), now: later + day), .answer)
        #expect(book.remembered == 2)
    }

    @Test func whatCannotComeAgainIsForgottenWhenThereIsNoRoom() throws {
        var book = RequestBook()
        for number in 0..<TransferDefaults.mostSeenRequests {
            expect(book.take(try request(number), from: try key(1), now: now), .answer)
            book.ended(try request(number).request)
        }
        let more = try request(-1 + 1 << 40, time: now + 2)
        expect(book.take(more, from: try key(1), now: now), .refuse(.tooManyRequests))
        expect(book.take(more, from: try key(1), now: now + SealingDefaults.offerTolerance + 1), .answer)
    }
}

@Suite struct OpenRequestsTests {
    private let alice: Party
    private let mallory: Party
    private let request = PullRequest.random()
    private let query: PullQuery

    init() throws {
        let name = try #require(PeerName(rawValue: "alice"))
        alice = Party(name: name, identity: .random())
        mallory = Party(name: name, identity: .random())
        query = .fetch([try PullPath("photos/a")])
    }

    private var requests: OpenRequests {
        var requests = OpenRequests(to: alice.name)
        requests.open(request, query, to: alice.identity)
        return requests
    }

    private func summary(_ name: String = "a", answers: PullRequest?) -> OfferSummary {
        OfferSummary(names: [name], kind: .file, answers: answers)
    }

    @Test func takesWhatWasAskedForFromTheOneWhoWasAsked() {
        #expect(requests.admits(summary(answers: request), from: alice, answering: request))
    }

    @Test func takesNothingElse() throws {
        let other = PullRequest.random()
        #expect(!requests.admits(summary(answers: request), from: mallory, answering: request))
        #expect(!requests.admits(summary(answers: nil), from: alice, answering: request))
        #expect(!requests.admits(summary(answers: request), from: alice, answering: nil))
        #expect(!requests.admits(summary(answers: other), from: alice, answering: other))
        #expect(!requests.admits(summary(answers: other), from: alice, answering: request))
        #expect(!requests.admits(summary(answers: request), from: alice, answering: other))
        #expect(!requests.admits(summary("b", answers: request), from: alice, answering: request))
        #expect(!requests.admits(summary("photos", answers: request), from: alice, answering: request))
        let several = OfferSummary(names: ["a", "b"], kind: .several, answers: request)
        #expect(!requests.admits(several, from: alice, answering: request))
        let bob = Party(name: try #require(PeerName(rawValue: "bob")), identity: alice.identity)
        #expect(!requests.admits(summary(answers: request), from: bob, answering: request))
    }

    @Test func areVoidWithTheirConnection() {
        var requests = requests
        requests.removeAll()
        #expect(!requests.contains(request))
        #expect(!requests.admits(summary(answers: request), from: alice, answering: request))
    }
}
