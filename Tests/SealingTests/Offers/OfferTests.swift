// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

/// What comes in front of the encapsulated secret of an offer: suite, epoch, transfer.
private let header = 21

@Suite struct OfferTests {
    @Test func opensForTheOneItIsFor() throws {
        let attempt = try Attempt()
        let opened = try attempt.opened()
        #expect(opened.summary == Attempt.summary)
        #expect(opened.transfer == attempt.transfer)
        #expect(opened.time == Clock.november)
        #expect(attempt.offer.payload.count == header + 1_120 + 1_536 + 16)
    }

    @Test func opensWithThePrekeyOfTheMonthBefore() throws {
        let attempt = try Attempt()
        var ratchet = attempt.bob.ratchet
        try ratchet.advance(to: Clock.november + 5 * Clock.day)
        #expect(ratchet.epoch != attempt.bob.ratchet.epoch)
        let time = Clock.november + Clock.day
        _ = try OfferSealing.open(attempt.offer.payload, between: attempt.parties, with: ratchet, time: time)
        try ratchet.advance(to: Clock.november + 40 * Clock.day)
        #expect(throws: SealingError.forgottenPrekey(attempt.bob.ratchet.epoch)) {
            try OfferSealing.open(attempt.offer.payload, between: attempt.parties, with: ratchet, time: time)
        }
    }

    // MARK: - What a relay may swap

    @Test func isRefusedUnderAnotherAttempt() throws {
        let (one, two) = (try Attempt(1), try Attempt(2))
        try refuses(one, .doesNotOpen(.offer), between: two.parties)
    }

    @Test func isRefusedUnderAnotherName() throws {
        let attempt = try Attempt()
        let alias = attempt.parties.with(sender: try attempt.alice.party.named("alicia"))
        try refuses(attempt, .doesNotOpen(.offer), between: alias)
        let other = attempt.parties.with(receiver: try attempt.bob.party.named("robert"))
        try refuses(attempt, .doesNotOpen(.offer), between: other)
    }

    @Test func isRefusedUnderTheSendersOtherIdentity() throws {
        let attempt = try Attempt()
        try refuses(attempt, .doesNotOpen(.offer), between: attempt.parties.with(sender: Person("alice", 3).party))
    }

    @Test func isRefusedUnderTheReceiversOtherIdentity() throws {
        let attempt = try Attempt()
        try refuses(attempt, .doesNotOpen(.offer), between: attempt.parties.with(receiver: Person("bob", 3).party))
    }

    @Test func isRefusedWithBothSidesExchanged() throws {
        let attempt = try Attempt()
        let exchanged = attempt.parties.with(sender: attempt.bob.party, receiver: attempt.alice.party)
        try refuses(attempt, .doesNotOpen(.offer), between: exchanged)
    }

    @Test func isRefusedAsAnotherTransfer() throws {
        let attempt = try Attempt()
        var payload = attempt.offer.payload
        payload.replaceSubrange(5..<21, with: repeatElement(3, count: 16))
        try refuses(attempt, .doesNotOpen(.offer), payload: payload)
    }

    @Test func isRefusedUnderAnOlderPrekey() throws {
        let attempt = try Attempt()
        var bob = attempt.bob
        let old = bob.ratchet.epoch
        try bob.ratchet.advance(to: Clock.november + 5 * Clock.day)
        // The header says that it is for the key of the other month that the receiver has.
        var payload = attempt.offer.payload
        payload.replaceSubrange(1..<5, with: withUnsafeBytes(of: (old.number + 1).bigEndian) { Array($0) })
        #expect(throws: SealingError.doesNotOpen(.offer)) {
            try OfferSealing.open(payload, between: attempt.parties, with: bob.ratchet, time: Clock.november)
        }
    }

    @Test func isRefusedWithAnyBitAltered() throws {
        let attempt = try Attempt()
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<150 {
            var payload = attempt.offer.payload
            let bit = Int.random(in: 0..<payload.count * 8, using: &generator)
            payload[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: SealingError.self, "bit \(bit)") {
                try OfferSealing.open(
                    payload, between: attempt.parties, with: attempt.bob.ratchet, time: Clock.november
                )
            }
        }
    }

    @Test func isRefusedCutAnywhere() throws {
        let attempt = try Attempt()
        let payload = attempt.offer.payload
        for length in Array(0..<40) + stride(from: 40, to: payload.count, by: 37) + [payload.count - 1] {
            let error = #expect(throws: SealingError.self) {
                try OfferSealing.open(
                    Array(payload.prefix(length)), between: attempt.parties, with: attempt.bob.ratchet,
                    time: Clock.november
                )
            }
            #expect(error?.code == .protocolError)
        }
        try refuses(attempt, .malformed(.offer), payload: payload + [0])
    }

    @Test func saysThatOneOfTheTwoHasToBeUpdated() throws {
        let attempt = try Attempt()
        let payload = [2] + attempt.offer.payload.dropFirst()
        try refuses(attempt, .otherSuite(2), payload: payload)
        #expect(SealingError.otherSuite(2).description.contains("updated"))
        #expect(SealingError.otherSuite(2).code == .protocolError)
    }

    // MARK: - Time

    @Test(arguments: [Int64(-1), 1]) func isRefusedADayAway(_ sign: Int64) throws {
        let attempt = try Attempt()
        let edge = UInt64(Int64(Clock.november) - sign * Int64(Clock.day))
        _ = try attempt.opened(edge)
        let far = UInt64(Int64(edge) - sign * 1_000)
        let error = #expect(throws: SealingError.self) { try attempt.opened(far) }
        #expect(error == .staleOffer(milliseconds: sign * (Int64(Clock.day) + 1_000)))
        #expect(error?.code == .staleOffer && error?.isSilent == false)
        #expect(error?.description.contains("24 hours \(sign < 0 ? "ago" : "ahead")") == true)
    }

    @Test func isTakenOnce() throws {
        let (one, two) = (try Attempt(1), try Attempt(2))
        var memory = AttemptMemory()
        try memory.take(one.opened(), time: Clock.november)
        try memory.take(two.opened(), time: Clock.november)
        var copy = AttemptMemory(seen: memory.seen)
        for time in [Clock.november, Clock.november - Clock.day, Clock.november + 2 * Clock.day] {
            let error = #expect(throws: SealingError.repeatedAttempt) { try copy.take(one.opened(), time: time) }
            #expect(error?.isSilent == true)
        }
        try memory.take(Attempt(3).opened(), time: Clock.november + 2 * Clock.day + 1)
        #expect(memory.seen.count == 1)
    }

    // MARK: - What another client may do

    @Test func isNotSealedToAPrekeyThatDoesNotHold() throws {
        let attempt = try Attempt()
        var generator = SeededGenerator(seed: 1)
        for (prekey, time, expected) in [
            (try Person("bob", 3).prekey(), Clock.november, SealingError.prekeySignature),
            (
                try attempt.bob.prekey(), Clock.november + 90 * Clock.day,
                .prekeyMonth(
                    prekey: Epoch(milliseconds: Clock.november),
                    own: Epoch(milliseconds: Clock.november + 90 * Clock.day)
                )
            ),
        ] {
            #expect(throws: expected) {
                try OfferSealing.seal(
                    Attempt.summary, of: attempt.transfer, between: attempt.parties, to: prekey,
                    signedBy: attempt.alice.identity, time: time, using: &generator
                )
            }
        }
    }

    @Test func isRefusedWhenAnotherSignedIt() throws {
        let attempt = try Attempt()
        var generator = SeededGenerator(seed: 1)
        let forged = try OfferSealing.seal(
            Attempt.summary, of: attempt.transfer, between: attempt.parties, to: attempt.bob.prekey(),
            signedBy: Person("mallory", 4).identity, time: Clock.november, using: &generator
        )
        try refuses(attempt, .signature(.offer), payload: forged.payload)
    }

    /// Bob opens what alice sealed for him, and seals it again for carol as alice's.
    @Test func isRefusedWhenItsReceiverPassesItOn() throws {
        let attempt = try Attempt()
        let carol = try Person("carol", 5)
        let parties = attempt.parties.with(receiver: carol.party)
        var generator = SeededGenerator(seed: 1)
        let toCarol = try OfferSealing.seal(
            Attempt.summary, of: attempt.transfer, between: parties, to: carol.prekey(), signedBy: attempt.bob.identity,
            time: Clock.november, using: &generator
        )
        let plaintext = try Forger.open(
            attempt.offer.payload.dropFirst(header), info: attempt.offer.binding.info,
            with: attempt.bob.ratchet.privateKey(of: attempt.bob.ratchet.epoch)
        )
        let passedOn: [UInt8] =
            try Array(toCarol.payload.prefix(header))
            + Forger.seal(plaintext, info: toCarol.binding.info, to: carol.prekey().key)
        #expect(throws: SealingError.signature(.offer)) {
            try OfferSealing.open(passedOn, between: parties, with: carol.ratchet, time: Clock.november)
        }
    }

    @Test func isRefusedWithAnythingInItsPadding() throws {
        let attempt = try Attempt()
        let plaintext = try plaintext(attempt)
        for forged in [
            Array(plaintext.dropLast()) + [1], plaintext + [UInt8](repeating: 0, count: 512),
            Array(plaintext.prefix(1_024)),
        ] {
            try refuses(attempt, .malformed(.offer), payload: try seal(forged, in: attempt))
        }
        _ = try OfferSealing.open(
            seal(plaintext, in: attempt), between: attempt.parties, with: attempt.bob.ratchet, time: Clock.november
        )
    }

    @Test(arguments: [
        "", "[]", #"{"kind":"file"}"#, #"{"names":[]}"#, #"{"names":["a"],"kind":"disk"}"#,
        #"{"names":["a"],"names":["b"],"kind":"file"}"#, #"{"names":["../a"],"kind":"file"}"#,
        #"{"names":[".."],"kind":"file"}"#, #"{"names":[""],"kind":"file"}"#, #"{"names":["a\u0000"],"kind":"file"}"#,
        #"{"names":["1","2","3","4","5","6","7","8","9"],"kind":"file"}"#, #"{"names":["a"],"bytes":-1,"kind":"file"}"#,
        #"{"names":["a"],"bytes":1.5,"kind":"file"}"#, #"{"names":["a"],"answers":"x","kind":"file"}"#,
        #"{"names":["a"],"bytes":1,"holes":-1,"kind":"file"}"#,
    ])
    func refusesASummaryThatIsNone(_ json: String) throws { #expect(OfferSummary(Array(json.utf8)) == nil) }

    @Test func readsSummaries() throws {
        let answers = try #require(PullRequest(bytes: [UInt8](repeating: 7, count: 16)))
        for summary in [
            OfferSummary(names: [], kind: .stream), Attempt.summary,
            OfferSummary(names: ["ä\"\u{1}", "b"], entries: .max, bytes: .max, kind: .several, answers: answers),
            OfferSummary(names: ["a"], entries: 1, bytes: 7, holes: 6, kind: .file),
            OfferSummary(names: [String](repeating: String(repeating: "\u{1}", count: 255), count: 8), kind: .folder),
        ] {
            #expect(OfferSummary(try #require(summary.encoded)) == summary)
        }
        #expect(OfferSummary(names: ["a/b"], kind: .file).encoded == nil)
        #expect(OfferSummary(Array(#"{"names":["a"],"kind":"file","more":{}}"#.utf8))?.names == ["a"])
    }

    /// A sender may say anything.
    @Test func knowsHowMuchRoomItTakes() {
        func room(_ bytes: UInt64?, _ holes: UInt64?) -> UInt64? {
            OfferSummary(names: ["a"], bytes: bytes, holes: holes, kind: .file).room
        }
        #expect(room(7, nil) == 7 && room(7, 0) == 7 && room(7, 5) == 2 && room(.max, .max) == 0)
        #expect(room(7, 8) == 0 && room(nil, 8) == nil)
    }

    // MARK: - The same with less to say

    private func refuses(
        _ attempt: Attempt, _ expected: SealingError, payload: [UInt8]? = nil, between parties: AttemptParties? = nil
    ) throws {
        #expect(throws: expected) {
            try OfferSealing.open(
                payload ?? attempt.offer.payload, between: parties ?? attempt.parties, with: attempt.bob.ratchet,
                time: Clock.november
            )
        }
    }

    private func plaintext(_ attempt: Attempt) throws -> [UInt8] {
        try Forger.open(
            attempt.offer.payload.dropFirst(header), info: attempt.offer.binding.info,
            with: attempt.bob.ratchet.privateKey(of: attempt.bob.ratchet.epoch)
        )
    }

    private func seal(_ plaintext: some Sequence<UInt8>, in attempt: Attempt) throws -> [UInt8] {
        try attempt.offer.payload.prefix(header)
            + Forger.seal(Array(plaintext), info: attempt.offer.binding.info, to: attempt.bob.prekey().key)
    }
}
