// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct AcceptTests {
    private static let acceptance = Acceptance(
        position: TransferPosition(file: 7, offset: 1 << 40), wantsByNote: true,
        samples: (0..<16).map { SourceSample(file: $0, block: $0 * 3, content: [UInt8($0)]) }
    )

    private func accept(
        _ attempt: Attempt, _ acceptance: Acceptance = acceptance, signedBy person: Person? = nil, seed: UInt64 = 5
    ) throws -> (payload: [UInt8], keys: AttemptKeys) {
        var generator = SeededGenerator(seed: seed)
        return try AcceptSealing.seal(
            acceptance, of: attempt.opened(), signedBy: (person ?? attempt.bob).identity, using: &generator
        )
    }

    private func refuses(_ attempt: Attempt, _ expected: SealingError, _ payload: [UInt8]) {
        #expect(throws: expected) { try AcceptSealing.open(payload, to: attempt.offer) }
    }

    @Test func bothSidesHaveTheSameKeys() throws {
        let attempt = try Attempt()
        let sent = try accept(attempt)
        let (acceptance, keys) = try AcceptSealing.open(sent.payload, to: attempt.offer)
        #expect(acceptance == Self.acceptance)
        #expect(keys.all == sent.keys.all)
        #expect(Set(keys.all).count == 4)
    }

    @Test func twoAttemptsShareNoKey() throws {
        let (one, two) = (try Attempt(1), try Attempt(2))
        let keys = try accept(one).keys.all + accept(two).keys.all + accept(one, seed: 6).keys.all
        #expect(Set(keys).count == 12)
    }

    @Test func isRefusedForAnotherAttempt() throws {
        let (one, two) = (try Attempt(1), try Attempt(2))
        refuses(two, .doesNotOpen(.accept), try accept(one).payload)
    }

    @Test func isRefusedForAnotherTransfer() throws {
        let (one, two) = (try Attempt(1, transfer: 8), try Attempt(1, transfer: 9))
        refuses(two, .doesNotOpen(.accept), try accept(one).payload)
    }

    /// The same attempt, names and fresh key, and still another offer: the relay has swapped its payload.
    @Test func isRefusedForAnotherPayloadOfTheOffer() throws {
        let (one, two) = (try Attempt(1), try Attempt(1))
        #expect(one.offer.payload != two.offer.payload)
        #expect(one.offer.fresh.seedRepresentation == two.offer.fresh.seedRepresentation)
        refuses(two, .doesNotOpen(.accept), try accept(one).payload)
    }

    @Test func isRefusedWhenAnotherSignedIt() throws {
        let attempt = try Attempt()
        for person in [try Person("bob", 3), attempt.alice] {
            refuses(attempt, .signature(.accept), try accept(attempt, signedBy: person).payload)
        }
    }

    @Test func isRefusedUnderTheReceiversOtherIdentity() throws {
        let attempt = try Attempt()
        let offer = SentOffer(
            payload: attempt.offer.payload, parties: attempt.parties.with(receiver: try Person("bob", 3).party),
            binding: attempt.offer.binding, fresh: attempt.offer.fresh, random: attempt.offer.random
        )
        let payload = try accept(attempt).payload
        #expect(throws: SealingError.signature(.accept)) { try AcceptSealing.open(payload, to: offer) }
    }

    @Test func isRefusedWithAnyBitAltered() throws {
        let attempt = try Attempt()
        let sent = try accept(attempt)
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<150 {
            var payload = sent.payload
            let bit = Int.random(in: 0..<payload.count * 8, using: &generator)
            payload[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: SealingError.self, "bit \(bit)") { try AcceptSealing.open(payload, to: attempt.offer) }
        }
    }

    @Test func isRefusedCutAnywhere() throws {
        let attempt = try Attempt()
        let payload = try accept(attempt).payload
        for length in Array(0..<10) + stride(from: 10, to: payload.count, by: 41) + [payload.count - 1] {
            #expect(throws: SealingError.self) {
                try AcceptSealing.open(Array(payload.prefix(length)), to: attempt.offer)
            }
        }
        refuses(attempt, .malformed(.accept), payload + [0])
        refuses(attempt, .otherSuite(0), [0] + payload.dropFirst())
    }

    @Test func isRefusedWithFieldsThatAreNone() throws {
        let attempt = try Attempt()
        let info = Array("relay/1 accept\0".utf8) + attempt.offer.binding.info + attempt.offer.binding.digest
        let good = [UInt8](repeating: 0, count: 16)
        let random = [UInt8](repeating: 1, count: 32)
        for (name, fields) in [
            ("wants", good + [2] + random + [0, 0, 0, 0]),
            ("samples cut", good + [0] + random + [0, 0, 0, 47] + [UInt8](repeating: 0, count: 47)),
            ("17 samples", good + [0] + random + [0, 0, 3, 48] + [UInt8](repeating: 0, count: 17 * 48)),
            ("endless samples", good + [0] + random + [255, 255, 255, 255]),
        ] {
            let forged = try SignedEnvelope.seal(
                fields, info: info, to: Array(attempt.offer.fresh.publicKey.rawRepresentation),
                signedBy: attempt.bob.identity, as: .accept
            )
            #expect(throws: SealingError.malformed(.accept), "\(name)") {
                try AcceptSealing.open([1] + forged, to: attempt.offer)
            }
        }
    }

    @Test func aSampleThatDiffersIsAChangedSource() throws {
        let sample = SourceSample(file: 0, block: 0, content: [1, 2, 3])
        try sample.check([1, 2, 3])
        let error = #expect(throws: SealingError.sourceChanged) { try sample.check([1, 2]) }
        #expect(error?.code == .sourceChanged)
    }

    @Test func aFreshKeyThatIsNoneIsRefused() throws {
        let attempt = try Attempt()
        let opened = try attempt.opened()
        var generator = SeededGenerator(seed: 1)
        for fresh in [[], [UInt8](repeating: 0xFF, count: 1_216)] {
            let forged = ReceivedOffer(
                parties: opened.parties, transfer: opened.transfer, time: opened.time, summary: opened.summary,
                binding: opened.binding, fresh: fresh, random: opened.random
            )
            #expect(throws: SealingError.malformed(.accept)) {
                try AcceptSealing.seal(Acceptance(), of: forged, signedBy: attempt.bob.identity, using: &generator)
            }
        }
    }
}
