// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A session that lasts longer than a month.
@Suite(.timeLimit(.minutes(5))) struct PrekeyRenewalTests {
    /// From the day of the samples, the 28th of a month, into the next one.
    private static let fewDays = 4 * Samples.day

    @Test func anotherMonthIsPublishedOnce() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        receiving.session.passTime(Defaults.prekeyCheck)
        #expect(!receiving.relay.lines[0].isClosed)
        receiving.session.day.advance(by: Self.fewDays)
        receiving.session.passTime(Defaults.prekeyCheck)
        await receiving.present(2)
        #expect(receiving.relay.lines[0].isClosed)
        let line = try #require(try receiving.session.lines().first { $0.contains("reconnecting") })
        #expect(line.contains("2026-12 has begun, whose key is published now"), "\(line)")
        for _ in 1...3 { receiving.session.passTime(Defaults.prekeyCheck) }
        #expect(receiving.relay.lines.count == 2 && !receiving.relay.lines[1].isClosed)
        // It goes on as before.
        try await receiving.receive(isKnown: false)
    }

    @Test func whatIsUnderWayIsNotCutForIt() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let transfer = try receiving.ring()
        try await receiving.start(transfer)
        receiving.session.day.advance(by: Self.fewDays)
        receiving.session.passTime(Defaults.prekeyCheck)
        #expect(receiving.relay.lines.count == 1 && !receiving.relay.lines[0].isClosed)
        try receiving.complete()
        await receiving.session.run { !receiving.deliveries.isEmpty }
        receiving.relay.lines[0].say([.ok(.init(id: try #require(receiving.deliveries.first).id))])
        await receiving.present(2)
        #expect(receiving.relay.lines[0].isClosed)
        #expect(try receiving.session.events("received", "interrupted") == ["received"])
    }

    /// A clock that was set back is no reason, and one that stands still none either.
    @Test func onlyALaterMonthIsPublished() async throws {
        let receiving = try ReceivingFixture()
        receiving.session.day.advance(by: Self.fewDays)
        await receiving.present()
        for _ in 1...3 { receiving.session.passTime(Defaults.prekeyCheck) }
        #expect(!receiving.relay.lines[0].isClosed && receiving.relay.lines.count == 1)
    }

    /// No peer seals to one who only sends.
    @Test func aSenderHasNothingToPublish() async throws {
        let relay = FakeRelay { [$0.state(.waiting)] }
        let sending = try SessionFixture.sending([try SentFiles().tree()], over: relay)
        try await sending.run { try sending.events("waiting").count == 1 }
        sending.day.advance(by: Self.fewDays)
        sending.passTime(.minutes(9))
        #expect(relay.lines.count == 1 && !relay.lines[0].isClosed)
        #expect(sending.session.deadline.map { $0 - sending.clock.now() } == .minutes(1))
    }
}
