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

    /// Asks, and has an answer at once.
    private func ask(
        _ book: inout RequestBook, _ number: Int, from requester: SigningKey, time: UInt64? = nil,
        now: UInt64? = nil
    ) throws -> RequestBook.Verdict {
        let request = try request(number, time: time)
        defer { book.ended(request.request) }
        return book.take(request, from: requester, now: now ?? self.now)
    }

    @Test func aRequesterWithoutEndDoesNotHoldUpOthers() throws {
        var book = RequestBook()
        let count = 20 * TransferDefaults.mostSeenRequests
        for number in 0..<count {
            expect(try ask(&book, number, from: try key(1), time: now + UInt64(number)), .answer)
        }
        #expect(book.remembered <= TransferDefaults.mostSeenRequests)
        expect(try ask(&book, count, from: try key(2)), .answer)
        // None is answered twice: neither one that is remembered, nor one of which only the time is.
        expect(try ask(&book, count - 1, from: try key(1), time: now + UInt64(count - 1)), .ignore)
        for number in [0, 1, count / 2] {
            expect(
                try ask(&book, number, from: try key(1), time: now + UInt64(number)), .refuse(.tooManyRequests))
        }
    }

    @Test func onlyWhoAsksTooOftenIsRefused() throws {
        var book = RequestBook()
        for number in 0...TransferDefaults.mostSeenRequests {
            expect(try ask(&book, number, from: try key(1)), .answer)
        }
        let next = TransferDefaults.mostSeenRequests + 1
        expect(try ask(&book, next, from: try key(1)), .refuse(.tooManyRequests))
        expect(try ask(&book, next, from: try key(2)), .answer)
        expect(try ask(&book, next + 1, from: try key(1), time: now + 1), .answer)
    }

    /// Whatever time they say that it is.
    @Test func manyRequestersDoNotHoldUpOthers() throws {
        var book = RequestBook()
        let ahead = now + SealingDefaults.offerTolerance
        let strangers = (0..<TransferDefaults.mostSeenRequesters).map { _ in SigningKey.random() }
        for (number, stranger) in strangers.enumerated() {
            expect(try ask(&book, number, from: stranger, time: ahead - UInt64(number % 2)), .answer)
        }
        // What is still to come makes way for nothing else that is.
        expect(try ask(&book, 99_999, from: try key(9), time: ahead), .refuse(.tooManyRequests))
        for second in 0..<3 as Range<UInt64> {
            let (number, time) = (100_000 + Int(second), now + second * 1_000)
            expect(try ask(&book, number, from: try key(UInt8(second)), time: time, now: time), .answer)
            let again = try ask(&book, number, from: try key(UInt8(second)), time: time, now: time)
            expect(again, .refuse(.tooManyRequests))
        }
        // Those are remembered as before.
        expect(try ask(&book, 0, from: strangers[0], time: ahead), .ignore)
        #expect(book.remembered <= TransferDefaults.mostSeenRequesters)
    }

    /// The one who has been silent for longest is known by the time alone, and is answered when that is later.
    @Test func ofManyTheLastAreRemembered() throws {
        var book = RequestBook()
        let count = TransferDefaults.mostSeenRequesters + 5
        let requesters = (0..<count).map { _ in SigningKey.random() }
        for (number, requester) in requesters.enumerated() {
            let time = now + UInt64(number)
            expect(try ask(&book, number, from: requester, time: time, now: time), .answer)
        }
        #expect(book.remembered == TransferDefaults.mostSeenRequesters)
        let later = now + UInt64(count)
        expect(try ask(&book, 4, from: requesters[4], time: now + 4, now: later), .refuse(.tooManyRequests))
        expect(try ask(&book, 5, from: requesters[5], time: now + 5, now: later), .ignore)
        expect(try ask(&book, count, from: requesters[4], time: later, now: later), .answer)
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
