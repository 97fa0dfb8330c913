// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct PrekeyTests {
    private let owner: Person
    private let prekey: Prekey

    init() throws {
        owner = try Person("bob", 2)
        prekey = try owner.prekey()
    }

    @Test func holdsForItsOwner() throws {
        #expect(prekey.key.count == 1216)
        try prekey.verify(of: owner.party, time: Clock.november)
    }

    @Test(arguments: [-1, 1]) func holdsInTheMonthNextToIt(_ months: Int) throws {
        try prekey.verify(of: owner.party, time: UInt64(Int(Clock.november) + months * 30 * Int(Clock.day)))
    }

    @Test(arguments: [-12, -2, 2, 12]) func saysThatOneOfTheClocksIsWrong(_ months: Int) throws {
        let time = UInt64(Int(Clock.november) + months * 31 * Int(Clock.day))
        let error = #expect(throws: SealingError.self) { try prekey.verify(of: owner.party, time: time) }
        #expect(error == .prekeyMonth(prekey: Epoch(milliseconds: Clock.november), own: Epoch(milliseconds: time)))
        #expect(error?.code == .badPrekey)
        let text = try #require(error?.description)
        #expect(text.contains("2026-11") && text.contains(Epoch(milliseconds: time).description))
        #expect(text.contains("one of the two clocks is wrong"))
    }

    @Test func isRefusedWithAnythingSwappedIn() throws {
        let other = try Person("bob", 3)
        let renamed = try Person("robert", 2)
        let older = Prekey(epoch: Epoch(number: prekey.epoch.number - 1), key: prekey.key, signature: prekey.signature)
        for (prekey, party) in [
            (prekey, other.party), (prekey, renamed.party), (older, owner.party),
            (Prekey(epoch: prekey.epoch, key: try other.prekey().key, signature: prekey.signature), owner.party),
            (Prekey(epoch: prekey.epoch, key: prekey.key, signature: try other.prekey().signature), owner.party),
            (Prekey(epoch: prekey.epoch, key: Array(prekey.key.dropLast()), signature: prekey.signature), owner.party),
            (Prekey(epoch: prekey.epoch, key: prekey.key, signature: []), owner.party),
            (Prekey(epoch: prekey.epoch, key: [], signature: prekey.signature), owner.party),
        ] {
            #expect(throws: SealingError.prekeySignature) { try prekey.verify(of: party, time: Clock.november) }
        }
        #expect(SealingError.prekeySignature.code == .badPrekey)
    }

    @Test func isRefusedWithAnyBitAltered() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            var (key, signature) = (prekey.key, prekey.signature)
            let bit = Int.random(in: 0..<(key.count + signature.count) * 8, using: &generator)
            if bit / 8 < key.count {
                key[bit / 8] ^= 1 << (bit % 8)
            } else {
                signature[bit / 8 - key.count] ^= 1 << (bit % 8)
            }
            let altered = Prekey(epoch: prekey.epoch, key: key, signature: signature)
            #expect(throws: SealingError.prekeySignature, "bit \(bit)") {
                try altered.verify(of: owner.party, time: Clock.november)
            }
        }
    }
}

@Suite struct PrekeyRatchetTests {
    private func ratchet() throws -> PrekeyRatchet { try Person("bob", 2).ratchet }

    private func time(_ months: Int) -> UInt64 {
        // The middle of each month.
        UInt64(Int(Clock.november) - 13 * Int(Clock.day) + Int((Double(months) * 30.4375).rounded()) * Int(Clock.day))
    }

    @Test func copiesAgreeHoweverTheyGetThere() throws {
        var (step, jump) = (try ratchet(), try ratchet())
        for month in 1...24 { try step.advance(to: time(month)) }
        try jump.advance(to: time(24))
        #expect(try step.epoch == jump.epoch && step.epoch.number == ratchet().epoch.number + 24)
        #expect(step.seed == jump.seed && step.previousSeed == jump.previousSeed)
        #expect(try step.publicKey(of: step.epoch) == jump.publicKey(of: jump.epoch))
    }

    @Test func isBoundToTheName() throws {
        var (bob, robert) = (try Person("bob", 2).ratchet, try Person("robert", 2).ratchet)
        try bob.advance(to: time(1))
        try robert.advance(to: time(1))
        #expect(bob.seed != robert.seed)
    }

    @Test func forgetsWhatIsOlderThanTheMonthBefore() throws {
        var ratchet = try ratchet()
        let first = ratchet.epoch
        #expect(throws: SealingError.forgottenPrekey(Epoch(number: first.number - 1))) {
            _ = try ratchet.privateKey(of: Epoch(number: first.number - 1))
        }
        try ratchet.advance(to: time(1))
        _ = try ratchet.privateKey(of: first)
        try ratchet.advance(to: time(2))
        #expect(throws: SealingError.forgottenPrekey(first)) { _ = try ratchet.privateKey(of: first) }
        let next = Epoch(number: ratchet.epoch.number + 1)
        #expect(throws: SealingError.forgottenPrekey(next)) { _ = try ratchet.privateKey(of: next) }
        #expect(SealingError.forgottenPrekey(first).code == .badPrekey)
    }

    @Test func staysWhenTheClockIsAMonthBehind() throws {
        var ratchet = try ratchet()
        let seed = ratchet.seed
        try ratchet.advance(to: time(-1))
        #expect(ratchet.seed == seed && ratchet.epoch == Epoch(milliseconds: Clock.november))
    }

    @Test func refusesToGoBack() throws {
        var ratchet = try ratchet()
        let (seed, epoch) = (ratchet.seed, ratchet.epoch)
        let error = #expect(throws: SealingError.self) { try ratchet.advance(to: time(-2)) }
        #expect(error == .clockBehind(prekey: epoch, clock: Epoch(milliseconds: time(-2))))
        #expect(error?.code == nil && error?.description.contains("2026-09") == true)
        #expect(ratchet.seed == seed && ratchet.epoch == epoch)
    }

    @Test func refusesMoreThan24MonthsAtOnce() throws {
        var ratchet = try ratchet()
        let (seed, epoch) = (ratchet.seed, ratchet.epoch)
        for far in [time(25), .max] {
            let error = #expect(throws: SealingError.self) { try ratchet.advance(to: far) }
            #expect(error == .clockAhead(prekey: epoch, clock: Epoch(milliseconds: far)))
            #expect(ratchet.seed == seed && ratchet.epoch == epoch)
        }
        try ratchet.advance(to: time(24))
    }

    @Test func goesOnFromWhatAProfileStored() throws {
        var ratchet = try ratchet()
        try ratchet.advance(to: time(1))
        let stored = try #require(
            PrekeyRatchet(
                name: ratchet.name, epoch: ratchet.epoch, seed: ratchet.seed, previousSeed: ratchet.previousSeed
            )
        )
        let before = Epoch(number: ratchet.epoch.number - 1)
        #expect(try stored.publicKey(of: before) == ratchet.publicKey(of: before))
        let short = SymmetricKey(size: .bits128)
        #expect(PrekeyRatchet(name: ratchet.name, epoch: ratchet.epoch, seed: short) == nil)
        #expect(PrekeyRatchet(name: ratchet.name, epoch: ratchet.epoch, seed: ratchet.seed, previousSeed: short) == nil)
    }
}
