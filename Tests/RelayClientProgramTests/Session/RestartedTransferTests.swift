// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A receiver whose sender begins again, because what is sent was changed meanwhile.
@Suite(.timeLimit(.minutes(5))) struct RestartedTransferTests {
    /// A receiver with half of a file of `size` bytes when its sender says that it has changed.
    private func changed(size: UInt64 = 1_000_000, isOnce: Bool = false) async throws -> ReceivingFixture {
        let receiving = try ReceivingFixture(isOnce: isOnce)
        await receiving.present()
        try await change(size, receiving)
        return receiving
    }

    private func change(_ size: UInt64, _ receiving: ReceivingFixture) async throws {
        let count = try receiving.session.events("restarted").count
        let transfer = try receiving.ring(size: size, isKnown: count == 0)
        try await receiving.start(transfer)
        let stream = try receiving.stream(of: transfer)
        let download = try #require(receiving.relay.downloads.last)
        _ = try download.request.opening.take(
            [ByteBuffer(bytes: stream.prefix(stream.count / 2))], on: BlockingThread())
        receiving.fail(transfer, .sourceChanged, by: .peer)
        try await receiving.session.run { try receiving.session.events("restarted").count == count + 1 }
        download.end(.failure(.stream(.cut)))
    }

    /// The person has said yes to it, and nothing of what it was is of use.
    @Test(arguments: [false, true]) func whatHasChangedComesAnewWithoutAQuestion(isOnce: Bool) async throws {
        let receiving = try await changed(isOnce: isOnce)
        #expect(receiving.session.endings == [nil])
        let line = try #require(try receiving.session.lines().last)
        #expect(line.contains("it changed while alice was sending it; it comes again from the beginning"), "\(line)")
        try await receiving.receive(size: 1_000_007, isKnown: false)
        #expect(receiving.asked.labels.count == 1 && receiving.relay.acceptances == 2)
        #expect(receiving.session.endings == [isOnce ? .status(.done) : nil])
        #expect(try receiving.session.events("failed", "received") == ["received"])
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"])
        #expect(try receiving.session.environment.records.all(now: Samples.now).isEmpty)
    }

    @Test(arguments: [("other", 1_000_000), ("file", 1_000_000 + TransferDefaults.unaskedGrowth.bytes + 1)])
    func whatIsMuchMoreOrSomethingElseIsAskedAbout(_ name: String, _ size: UInt64) async throws {
        let receiving = try await changed()
        try await receiving.acceptance(of: try receiving.ring(name, size: size, isKnown: false))
        #expect(receiving.asked.labels.count == 2)
    }

    /// What grows a little with each try is held to what the person has seen.
    @Test func theGrowthIsThatOfAllTriesTogether() async throws {
        let receiving = try await changed()
        try await change(1_900_000, receiving)
        #expect(receiving.asked.labels.count == 1)
        try await receiving.acceptance(of: try receiving.ring(size: 2_800_000, isKnown: false))
        #expect(receiving.asked.labels.map(\.size) == [1_000_000, 2_800_000])
    }

    @Test func onlyWhatWasAcceptedComesAnew() async throws {
        let receiving = try ReceivingFixture()
        receiving.asked.answer(false)
        await receiving.present()
        let first = try receiving.ring()
        await receiving.session.run { receiving.relay.declines.count == 1 }
        receiving.fail(first, .sourceChanged, by: .peer)
        receiving.asked.answer(true)
        try await receiving.receive(isKnown: false)
        #expect(receiving.asked.labels.count == 2)
    }

    /// The sender has found out between two tries, and says so with an offer that it takes back.
    @Test func whatWasFoundChangedBetweenTwoTriesLeavesNothing() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        _ = try await receiving.broken()
        let goodbye = try receiving.ring()
        receiving.fail(goodbye, .sourceChanged, by: .peer)
        try await receiving.session.run { try receiving.session.events("restarted").count == 1 }
        #expect(receiving.session.endings == [nil])
        try await receiving.receive(isKnown: false)
        #expect(receiving.asked.labels.count == 1)
        #expect(receiving.session.endings == [.status(.done)])
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"])
    }

    /// The sender gives up.
    @Test func whatNeverHoldsStillIsTheEndOfIt() async throws {
        let receiving = try await changed(isOnce: true)
        let goodbye = try receiving.ring(size: 1_000_000, isKnown: false)
        receiving.fail(goodbye, .cannotRead, by: .peer)
        await receiving.session.runToEnd()
        #expect(receiving.session.endings == [.status(.noInput)])
        #expect(try receiving.session.events("failed").count == 1)
    }
}
