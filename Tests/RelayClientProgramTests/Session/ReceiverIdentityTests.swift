// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Whom it is from that is offered, and whether it is the first time.
@Suite(.timeLimit(.minutes(5))) struct ReceiverIdentityTests {
    @Test func aFirstContactIsToldOnceAndOnlyIfSomethingIsTaken() async throws {
        let receiving = try ReceivingFixture()
        let peers = receiving.session.environment.sealing.peers
        receiving.asked.answer(false)
        await receiving.present()
        _ = try receiving.ring("unwanted", isKnown: false)
        await receiving.session.run { receiving.relay.declines.count == 1 }
        #expect(try receiving.session.events("first_contact").isEmpty && peers.list().isEmpty)
        receiving.asked.answer(true)
        try await receiving.receive()
        try await receiving.receive("other", isKnown: false)
        #expect(try receiving.session.events("first_contact").count == 1)
        let fingerprint = Fingerprint(of: receiving.alice.party.identity).description
        #expect(try receiving.session.lines().contains { $0.contains("first_contact") && $0.contains(fingerprint) })
        #expect(try peers.pin(of: Samples.alice)?.key == receiving.alice.party.identity)
    }

    @Test func anOfferOfAnotherIdentityIsDeclinedUnaskedAndThePersonIsWarnedOnce() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        let sealing = receiving.session.environment.sealing
        #expect(try sealing.meet(receiving.alice.party))
        let other = try FakePeer(Samples.alice)
        await receiving.present()
        for count in 1...3 {
            receiving.ring(
                try other.ring(try other.offer(OfferSummary(names: ["file"], kind: .file), to: sealing)))
            await receiving.session.run { receiving.relay.declines.count == count }
        }
        #expect(receiving.relay.declines.map(\.code) == [.identityChanged, .identityChanged, .identityChanged])
        #expect(try receiving.session.events("warning", "offered", "first_contact") == ["warning"])
        let line = try #require(try receiving.session.lines().last { $0.contains("warning") })
        #expect(line.contains("an offer from alice was refused: the identity has changed"))
        #expect(receiving.relay.accepts.isEmpty && receiving.asked.labels.isEmpty)
        #expect(receiving.session.endings == [nil])
        #expect(try sealing.peers.pin(of: Samples.alice)?.key == receiving.alice.party.identity)
        // The one who is known is still taken from.
        try await receiving.receive()
    }

    @Test func offersThatAreSealedForAnotherTimeAreDeclined() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        let sealing = receiving.session.environment.sealing
        await receiving.present()
        let summary = OfferSummary(names: ["file"], kind: .file)
        let stale = try receiving.alice.offer(summary, to: sealing, time: Samples.now - 2 * Samples.day)
        receiving.ring(try receiving.alice.ring(stale))
        await receiving.session.run { receiving.relay.declines.count == 1 }
        #expect(receiving.relay.declines.map(\.code) == [.staleOffer])
        #expect(try receiving.session.events("warning", "offered") == ["warning"])
    }

    /// A relay that keeps an offer could have it received again and again.
    @Test func anAttemptThatWasTakenIsNotTakenAgain() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let first = try await receiving.broken()
        try receiving.ringAgain(first)
        await receiving.session.run { !receiving.relay.declines.isEmpty }
        #expect(receiving.relay.declines.map(\.code) == [.staleOffer] && receiving.relay.acceptances == 1)
        // Of that the person hears nothing, and what broke still comes again.
        #expect(try receiving.session.events("warning", "failed", "offered") == ["offered"])
        try await receiving.receive()
        #expect(receiving.asked.labels.count == 1)
        #expect(try receiving.session.events("failed", "received") == ["received"])
    }

    /// What was never heard was not taken: the relay rings again on the next connection.
    @Test func anAcceptanceThatGotLostIsSaidAgain() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let attempt = try receiving.ring()
        try await receiving.acceptance(of: attempt)
        receiving.relay.lines[0].lose(
            ConnectionError(closed: nil, reason: .lost, relay: receiving.session.environment.relay))
        await receiving.present(2)
        try receiving.ringAgain(attempt)
        await receiving.session.run { receiving.relay.acceptances == 2 || !receiving.relay.declines.isEmpty }
        #expect(receiving.relay.declines.isEmpty)
        try await receiving.start(attempt)
        try receiving.complete()
        await receiving.session.run { !receiving.deliveries.isEmpty }
        #expect(receiving.asked.labels.count == 1)
    }

    @Test func anAttemptOfAnEarlierRunIsNotTakenAgain() async throws {
        let receiving = try ReceivingFixture(isOnce: true, isTrusting: true)
        await receiving.present()
        let sealing = receiving.session.environment.sealing
        let offer = try receiving.alice.offer(OfferSummary(names: ["file"], kind: .file), to: sealing)
        let ring = try receiving.alice.ring(offer)
        #expect(sealing.take(try sealing.open(ring)) == nil)
        receiving.ring(ring)
        await receiving.session.run { !receiving.relay.declines.isEmpty }
        #expect(receiving.relay.declines.map(\.code) == [.staleOffer])
        #expect(try receiving.session.events("warning", "failed", "offered").isEmpty)
        // It was not the one that is waited for.
        #expect(receiving.session.endings == [nil])
    }

    /// Of two sessions of one profile that have both accepted, one gets it.
    @Test func anAttemptThatAnotherSessionHasTakenMeanwhileIsLeftToIt() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        let attempt = try receiving.ring()
        try await receiving.acceptance(of: attempt)
        let sealing = receiving.session.environment.sealing
        let ring = try receiving.alice.ring(try receiving.offer(attempt))
        #expect(sealing.take(try sealing.open(ring)) == nil)
        receiving.relay.lines[0].say([try receiving.startMessage(attempt)])
        await receiving.session.run { !receiving.relay.cancels.isEmpty }
        #expect(receiving.relay.cancels.map(\.code) == [.staleOffer] && receiving.relay.downloads.isEmpty)
        // Nothing has failed, and the sender makes another offer, which one of them gets.
        #expect(try receiving.session.events("failed", "withdrawn") == ["withdrawn"])
        #expect(receiving.session.endings == [nil])
    }

    @Test func whatIsAskedSaysWhoOffers() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        try await receiving.receive()
        try await receiving.receive("other", isKnown: false)
        #expect(receiving.asked.questions.map(\.contact) == [.first, .known(isVerified: false)])
        let fingerprint = Fingerprint(of: receiving.alice.party.identity)
        #expect(receiving.asked.questions.allSatisfy { $0.fingerprint == fingerprint })
    }
}
