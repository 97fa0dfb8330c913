// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Whom a sender offers to, and under which ids.
@Suite(.timeLimit(.minutes(5))) struct SenderOfferTests {
    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private func tree(_ name: String = "file") throws -> SourceTree { try files.tree(name) }

    @Test func nothingIsOfferedToAnotherIdentityThanThePinnedOne() async throws {
        let relay = FakeRelay()
        let sending = try SessionFixture.sending(
            [try tree("a"), try tree("b")], to: [Samples.bob, Samples.alice], over: relay)
        let sealing = sending.environment.sealing
        let known = try FakePeer(Samples.bob)
        #expect(try sealing.meet(known.party))
        await sending.runToEnd()
        #expect(sending.endings == [.status(.refused)])
        #expect(relay.offers.map(\.offer.to) == [Samples.alice, Samples.alice] && relay.cancels.isEmpty)
        #expect(try sending.events("delivered").count == 2)
        let failed = try sending.lines().filter { $0.contains("\"event\":\"failed\"") }
        #expect(failed.count == 2)
        for line in failed { #expect(line.contains("the identity has changed: known as"), "\(line)") }
        #expect(try sealing.peers.pin(of: Samples.bob)?.key == known.party.identity)
    }

    @Test func aReceiverWithoutAPrekeyIsNotOfferedAnything() async throws {
        let relay = FakeRelay(find: { lookup, peer in
            var found = peer.found(lookup.id)
            if lookup.name == Samples.bob { found.prekey = nil }
            return [.peer(found)]
        })
        let sending = try SessionFixture.sending([try tree()], to: [Samples.bob, Samples.alice], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.refused)])
        #expect(relay.offers.map(\.offer.to) == [Samples.alice])
        #expect(try sending.lines().contains { $0.contains("bob's client cannot receive what is sealed") })
    }

    @Test func aReceiverIsLookedUpOncePerConnection() async throws {
        let url = try RelayURL("https://relay.example.com")
        let relay = FakeRelay { offered in
            if offered.number == 2 {
                offered.line.lose(ConnectionError(closed: nil, reason: .lost, relay: url))
                return []
            }
            return FakeRelay.acceptance(of: offered)
        }
        let sending = try SessionFixture.sending([try tree("a"), try tree("b"), try tree("c")], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2 && relay.lookups == [Samples.bob, Samples.bob])
        // Three contents, two connections, one receiver.
        #expect(try sending.events("first_contact").count == 1)
    }

    @Test func aFirstContactIsToldOnceAndKept() async throws {
        let relay = FakeRelay()
        let sending = try SessionFixture.sending(
            [try tree("a"), try tree("b")], to: [Samples.bob, Samples.alice], over: relay)
        let peers = sending.environment.sealing.peers
        _ = try peers.add(
            Samples.alice, Fingerprint(of: try relay.peer(Samples.alice).party.identity), now: Samples.now)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        let lines = try sending.lines().filter { $0.contains("first_contact") }
        let bob = try relay.peer(Samples.bob).party.identity
        #expect(lines.count == 1 && lines[0].contains(Fingerprint(of: bob).description))
        #expect(try peers.pin(of: Samples.bob)?.key == bob)
    }

    /// The receiver logged in anew, with the keys of another month or of another copy of its profile; or another of its
    /// sessions has taken the same offer.
    @Test(arguments: [FailureCode.badPrekey, .staleOffer])
    func anOfferThatIsOutOfDateIsMadeAnew(_ code: FailureCode) async throws {
        let relay = FakeRelay { offered in
            guard offered.number > 2 else { return [offered.state(.ringing), offered.failed(code, by: .peer)] }
            return FakeRelay.acceptance(of: offered)
        }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        try await passInterruptions(2, sending)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.offers.count == 3 && relay.lookups.count == 3 && relay.lines.count == 1)
        #expect(Set(relay.offers.map(\.transfer)).count == 3 && relay.cancels.isEmpty)
    }

    /// Lets so many pauses pass, each of which is told.
    private func passInterruptions(_ count: Int, _ sending: SessionFixture) async throws {
        for number in 1...count {
            try await sending.run { try sending.events("interrupted").count == number }
            sending.passTime(.seconds(1))
        }
    }

    @Test func anOfferThatIsAlwaysOutOfDateIsGivenUp() async throws {
        let relay = FakeRelay { offered in [offered.state(.ringing), offered.failed(.badPrekey, by: .peer)] }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        try await passInterruptions(TransferDefaults.freshTries, sending)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.refused)])
        #expect(relay.offers.count == 1 + TransferDefaults.freshTries)
    }

    @Test func aNameThatTheRelayDoesNotKnowIsAFailureOfItsContentsAlone() async throws {
        let relay = FakeRelay(find: { lookup, peer in
            lookup.name == Samples.bob
                ? [.error(.init(id: lookup.id, code: .unknownPeer, message: ""))] : [.peer(peer.found(lookup.id))]
        })
        let sending = try SessionFixture.sending(
            [try tree("a"), try tree("b")], to: [Samples.bob, Samples.alice], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.unreachable)])
        #expect(relay.offers.map(\.offer.to) == [Samples.alice, Samples.alice])
        let failed = try sending.lines().filter { $0.contains("\"event\":\"failed\"") }
        #expect(failed.count == 2 && failed.allSatisfy { $0.contains("no user of this relay is called bob") })
    }

    /// A relay that finds whom it is asked for, but for the first time.
    private static func relay(
        first: @escaping @Sendable (ClientMessage.Lookup) -> [ServerMessage]
    ) -> FakeRelay {
        let asked = Mutex(0)
        return FakeRelay(find: { lookup, peer in
            let isFirst = asked.withLock { asked in
                asked += 1
                return asked == 1
            }
            return isFirst ? first(lookup) : [.peer(peer.found(lookup.id))]
        })
    }

    @Test func aLookupThatIsRefusedForNowIsAskedAgain() async throws {
        let relay = Self.relay { lookup in [.error(.init(id: lookup.id, code: .rateLimited, message: ""))] }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        let start = sending.clock.now()
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lookups.count == 2 && relay.lines.count == 1 && relay.offers.count == 1)
        #expect(sending.clock.now() - start >= TransferDefaults.pauseWhenLimited)
    }

    @Test func aRelayThatAnswersNoLookupIsLeft() async throws {
        let relay = Self.relay { _ in [] }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.run { relay.lookups.count == 1 }
        sending.passTime(TransferDefaults.answerTimeout)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2 && relay.lines[0].isClosed && relay.lookups.count == 2)
        #expect(try sending.events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    // MARK: - Attempts and transfers

    @Test func theFirstAttemptHasTheTransfersIdAndNoOtherHasIt() async throws {
        let relay = FakeRelay { offered in
            guard offered.number > 2 else { return [offered.failed(.receiverGone, by: .relay)] }
            return FakeRelay.acceptance(of: offered)
        }
        let trees = [try tree("a")]
        let sending = try SessionFixture.sending(trees, to: [Samples.bob, Samples.alice], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        // Each of them is offered it twice.
        let offers = relay.offers
        #expect(offers.prefix(2).map(\.offer.to) == [Samples.bob, Samples.alice] && offers.count == 4)
        let carried = offers.compactMap { $0.opened?.transfer.shown }
        #expect(carried.count == 4 && Set(carried) == Set(carried.prefix(2)) && carried[0] != carried[1])
        #expect(offers[0].transfer == carried[0] && offers[1].transfer == carried[1])
        #expect(Set(offers.map(\.transfer)).count == 4 && Set(carried[2...]).count == 2)
        for line in try sending.lines() where line.contains("\"event\":\"delivered\"") {
            #expect(carried.contains { line.contains($0.rawValue) })
        }
    }

    @Test func whatGoesOnIsAnotherAttemptFromTheBeginning() async throws {
        let (relay, transfer) = (FakeRelay(), CarriedTransfer.random())
        let job = SendJob(peer: Samples.bob, tree: try tree(), goingOnWith: transfer)
        let sending = try SessionFixture.sending([job], over: relay)
        await sending.runToEnd()
        #expect(relay.offers.map { $0.opened?.transfer } == [transfer])
        #expect(relay.offers[0].transfer != transfer.shown)
        #expect(try sending.lines().last?.contains(transfer.rawValue) == true)
    }

    /// What a later run goes on with is what a receiver has accepted, and has not got.
    @Test func onlyWhatIsUnfinishedIsRemembered() async throws {
        let relay = FakeRelay { offered in
            switch offered.name {
            case "whole": FakeRelay.acceptance(of: offered)
            case "full": FakeRelay.acceptance(of: offered).dropLast() + [offered.failed(.noSpace, by: .peer)]
            case "unwanted": FakeRelay.acceptance(of: offered).dropLast() + [offered.failed(.tooLarge, by: .peer)]
            default: [offered.state(.ringing), offered.failed(.declined, by: .peer)]
            }
        }
        let sending = try SessionFixture.sending(try ["whole", "full", "unwanted", "declined"].map(tree), over: relay)
        await sending.runToEnd()
        let left = try sending.environment.records.all(now: Samples.now)
        #expect(left.count == 1)
        guard case .sending(let record)? = left.first else { throw InVain(description: "\(left)") }
        #expect(try record.summary.names == ["full"] && record.receiver == relay.peer(Samples.bob).party)
        #expect(try sending.events("kept").count == 1)
    }
}
