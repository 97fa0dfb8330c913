// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct SenderTests {
    typealias Offered = FakeRelay.Offered

    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private func jobs(_ count: Int, size: UInt64 = 3) throws -> [SendJob] {
        try (1...count).map { SendJob(peer: Samples.bob, tree: try files.tree("file\($0)", size: size)) }
    }

    private func sending(
        _ jobs: [SendJob], over relay: FakeRelay, patience: TimeAmount = .minutes(10), waits: Bool = true
    ) throws -> SessionFixture {
        try SessionFixture(relay) { environment, queue in
            [Sender(jobs, waits: waits, patience: patience, environment: environment, queue: queue)]
        }
    }

    /// Both offer the same, as attempts of their own: nothing that is sealed is sent twice.
    private func expectTheSameAgain(_ offers: [Offered]) throws {
        let (first, second) = (try #require(offers[0].opened), try #require(offers[1].opened))
        #expect(first.transfer == second.transfer && first.summary == second.summary)
        #expect(offers[0].transfer != offers[1].transfer && offers[0].offer.payload != offers[1].offer.payload)
        #expect(Set(offers.map(\.transfer)).count == offers.count)
    }

    @Test func smallContentsGoSeveralAtATimeOverOneConnection() async throws {
        // The first shows that no user is asked; each of the others waits until as many as may are on their way.
        let relay = FakeRelay(together: TransferDefaults.parallelSends)
        let sending = try sending(try jobs(1 + 3 * TransferDefaults.parallelSends), over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.mostRunning == TransferDefaults.parallelSends && relay.lines.count == 1)
        #expect(relay.offers.map { $0.name } == (1...49).map { "file\($0)" })
        #expect(try sending.events("delivered", "failed", "notice").count(where: { $0 == "delivered" }) == 49)
        #expect(try sending.events("failed", "notice", "reconnecting").isEmpty && relay.cancels.isEmpty)
    }

    @Test func largeContentsGoOneAfterTheOther() async throws {
        let relay = FakeRelay()
        let sending = try sending(try jobs(5, size: TransferDefaults.parallelSendBytes + 1), over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.mostRunning == 1 && relay.offers.count == 5)
    }

    @Test func aReceiverThatIsGoneIsOfferedTheSameAgainOnTheSameConnection() async throws {
        let relay = FakeRelay { offered in
            guard offered.number == 1 else { return FakeRelay.acceptance(of: offered) }
            return FakeRelay.acceptance(of: offered).dropLast() + [offered.failed(.receiverGone, by: .relay)]
        }
        let sending = try sending(try jobs(1), over: relay, waits: false)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        let offers = relay.offers
        #expect(offers.count == 2 && relay.lines.count == 1 && relay.cancels.isEmpty)
        try expectTheSameAgain(offers)
        // --no-wait is about the first contact only.
        #expect(!offers[0].offer.wait && offers[1].offer.wait)
        #expect(try sending.events("interrupted", "reconnecting", "delivered") == ["interrupted", "delivered"])
    }

    @Test func whatTheReceiverSaidIsFinalForItsContentAlone() async throws {
        let relay = FakeRelay { offered in
            guard offered.name == "file2" else { return FakeRelay.acceptance(of: offered) }
            return [offered.failed(.noSpace, by: .peer)]
        }
        let sending = try sending(try jobs(3), over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.inputOutput)])
        #expect(relay.offers.count == 3)
        #expect(try sending.events("delivered", "failed").count(where: { $0 == "failed" }) == 1)
    }

    @Test func aLostConnectionCostsNoneOfWhatIsOnItsWay() async throws {
        let url = try RelayURL("https://relay.example.com")
        let relay = FakeRelay { offered in
            if offered.line.number == 1, offered.number == 9 {
                offered.line.lose(ConnectionError(closed: nil, reason: .lost, relay: url))
            }
            let waits = offered.line.number == 1 && offered.number > 1
            return waits ? [] : FakeRelay.acceptance(of: offered)
        }
        let sending = try sending(try jobs(9), over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2 && relay.cancels.isEmpty)
        let names = relay.offers.compactMap { $0.name }
        for number in 2...9 { #expect(names.count(where: { $0 == "file\(number)" }) == 2, "\(number)") }
        #expect(try sending.events("delivered", "failed") == [String](repeating: "delivered", count: 9))
        #expect(try sending.events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func aRelayThatIsAboutToStopIsLeftOnceNothingIsUnderWay() async throws {
        let relay = FakeRelay { offered in
            guard offered.line.number == 1, offered.number > 1 else { return FakeRelay.acceptance(of: offered) }
            return [.error(.init(id: offered.offer.id, code: .draining, message: ""))]
        }
        let sending = try sending(try jobs(4), over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2)
        #expect(try sending.events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func theEndOfTheTimeIsToldToTheReceiver() async throws {
        let relay = FakeRelay { offered in
            [offered.state(.ringing)]
        }
        let sending = try sending(try jobs(1), over: relay, patience: .seconds(2))
        try await sending.run { try sending.events("ringing").count == 1 }
        sending.passTime(.seconds(2))
        #expect(sending.endings == [.status(.gaveUp)])
        #expect(relay.cancels.map(\.code) == [.timedOut])
        #expect(relay.cancels.map(\.transfer) == relay.offers.map(\.offer.transfer))
    }

    @Test func anInterruptIsToldToAllWhoWereOffered() async throws {
        let relay = FakeRelay { offered in
            guard offered.number > 1 else { return FakeRelay.acceptance(of: offered) }
            return [offered.state(.ringing)]
        }
        let sending = try sending(try jobs(5), over: relay)
        await sending.run { relay.offers.count == 5 }
        sending.handle(.interrupted)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.interrupted)])
        // The first may be on its way yet.
        #expect(Set(relay.cancels.map(\.transfer)).isSuperset(of: relay.offers.dropFirst().map(\.offer.transfer)))
        #expect(relay.offers.count == 5 && relay.cancels.allSatisfy { $0.code == .cancelled })
    }

    @Test func aReceiverThatWaitsForTheNextTryHearsThatItHasChanged() async throws {
        let jobs = try jobs(1)
        let relay = FakeRelay { [files] offered in
            guard offered.number == 1 else { return offered.number == 2 ? [] : FakeRelay.acceptance(of: offered) }
            do { try files.change(jobs[0].tree) } catch { Issue.record(error) }
            return FakeRelay.acceptance(of: offered).dropLast() + [offered.failed(.senderGone, by: .relay)]
        }
        let sending = try sending(jobs, over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        // The same content, offered and taken back at once; then what there is now.
        try #require(relay.offers.count == 3)
        try expectTheSameAgain(Array(relay.offers.prefix(2)))
        #expect(relay.cancels.map(\.code) == [.sourceChanged])
        #expect(relay.cancels.map(\.transfer) == [relay.offers[1].offer.transfer])
    }
}
