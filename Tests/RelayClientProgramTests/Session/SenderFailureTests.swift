// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a sender does when something is not as it should be.
@Suite(.timeLimit(.minutes(1))) struct SenderFailureTests {
    private func sending(
        _ sources: [MemorySource], to peers: [PeerName] = [Samples.bob], over relay: FakeRelay, waits: Bool = true
    ) throws -> SessionFixture {
        let jobs = sources.flatMap { source in peers.map { SendJob(peer: $0, source: source) } }
        return try SessionFixture(relay) { environment, queue in
            [Sender(jobs, waits: waits, patience: .minutes(10), environment: environment, queue: queue)]
        }
    }

    private func source(_ name: String = "file", isRepeatable: Bool = true) -> MemorySource {
        MemorySource(name: name, size: 3, isRepeatable: isRepeatable)
    }

    private static func failure(of offered: FakeRelay.Offered, _ code: FailureCode) -> [ServerMessage] {
        let (id, transfer) = (offered.offer.id, offered.offer.transfer)
        return FakeRelay.acceptance(of: offered).dropLast() + [
            .failed(.init(id: id, transfer: transfer, code: code, by: .relay))
        ]
    }

    @Test func aNameThatFitsIntoNoMessageIsNotOffered() async throws {
        let relay = FakeRelay()
        let sending = try sending([source(String(repeating: "x", count: 40_000)), source()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.noInput)])
        #expect(relay.offers.map { $0.manifest?.name } == ["file"])
    }

    @Test func whatCannotBeReadAgainIsNotOfferedAgain() async throws {
        let relay = FakeRelay { Self.failure(of: $0, .receiverGone) }
        let sending = try sending([source(isRepeatable: false)], over: relay)
        await sending.runToEnd()
        // The receiver waits for it to come again, and hears that it does not.
        #expect(relay.offers.count == 2 && relay.cancels.map(\.code) == [.cannotRead])
        let line = try #require(try sending.lines().last)
        #expect(line.contains("cannot be read a second time; run the command again"))
    }

    /// A relay that takes all of one content, and whose receiver is gone before its word about it.
    private func unconfirmed() -> FakeRelay {
        FakeRelay(
            answer: { offered in
                guard offered.number == 1 else {
                    return [.offered(.init(id: offered.offer.id, transfer: offered.offer.transfer, state: .waiting))]
                }
                return FakeRelay.acceptance(of: offered)
            }, confirms: false)
    }

    @Test func whatWasSentWholeIsNotToBeSentAgainUnseen() async throws {
        let advice = "ask bob whether it is there before you send it again"
        for isRepeatable in [true, false] {
            let relay = unconfirmed()
            let sending = try sending([source(isRepeatable: isRepeatable)], over: relay)
            try await sending.run { try sending.events("verifying").count == 1 }
            let first = relay.offers[0].offer
            relay.lines[0].say([
                .failed(.init(id: first.id, transfer: first.transfer, code: .receiverGone, by: .relay))
            ])
            if isRepeatable {
                await sending.runToPause()
                sending.passTime(TransferDefaults.firstPause)
                try await sending.run { try sending.events("waiting").count == 1 }
                sending.passTime(.minutes(10))
            }
            await sending.runToEnd()
            let line = try #require(try sending.lines().last)
            #expect(line.contains("everything was sent, and bob has not confirmed it; \(advice)"), "\(line)")
            #expect(!line.contains("try again") && !line.contains("run the command again"))
        }
    }

    @Test func onlyTheReceiversWordAboutWhatWasSentIsADelivery() async throws {
        let wrong = ContentSummary(size: 4, digest: [UInt8](repeating: 2, count: 32))
        let payload = try #require(PayloadCoding.encode(DeliveredPayload(wrong)))
        let relay = FakeRelay { offered in
            FakeRelay.acceptance(of: offered) + [
                .delivered(.init(id: offered.offer.id, transfer: offered.offer.transfer, payload: payload))
            ]
        }
        let sending = try sending([source()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.corrupt)])
        #expect(try sending.events("delivered", "failed") == ["failed"])
    }

    @Test func anAcceptanceThatMakesNoSenseEndsIt() async throws {
        let relay = FakeRelay { offered in
            let (id, transfer) = (offered.offer.id, offered.offer.transfer)
            return FakeRelay.acceptance(of: offered).dropLast() + [
                .start(
                    .init(
                        id: id, transfer: transfer, role: .upload, token: .random(), url: "/upload", expires: 30,
                        payload: PayloadCoding.encode(AcceptPayload(offset: 5))
                    ))
            ]
        }
        let sending = try sending([source()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.protocolBreach)])
        #expect(relay.cancels.map(\.code) == [.protocolError])
    }

    @Test func aRelayThatIsSlowIsSaidToBeOnce() async throws {
        let relay = FakeRelay { _ in [] }
        let sending = try sending([source()], over: relay)
        await sending.run { relay.offers.count == 1 }
        for _ in 1...3 { sending.passTime(Defaults.slowAnswer) }
        #expect(try sending.events("notice").count == 1)
        #expect(sending.endings == [nil])
    }

    /// A little for each file is much for all of them.
    @Test(arguments: [(1_300, 1), (500, 0)]) func aRelayThatHoldsEachOfferBackIsSaidToBeSlowOnce(
        _ wait: Int64, _ notices: Int
    ) async throws {
        let relay = FakeRelay { _ in [] }
        let large = TransferDefaults.parallelSendBytes + 1
        let sending = try sending((1...5).map { MemorySource(name: "f\($0)", size: large) }, over: relay)
        for number in 1...5 {
            await sending.run { relay.offers.count == number }
            sending.clock.advance(to: sending.clock.now() + .milliseconds(wait))
            relay.lines[0].say(FakeRelay.acceptance(of: relay.offers[number - 1]))
            try await sending.run { try sending.events("delivered").count == number }
        }
        #expect(sending.endings == [.status(.done)])
        #expect(try sending.events("notice").count == notices)
    }

    @Test func aRelayThatDoesNotAnswerIsLeft() async throws {
        let relay = FakeRelay { offered in offered.number == 1 ? [] : FakeRelay.acceptance(of: offered) }
        let sending = try sending([source()], over: relay)
        await sending.run { relay.offers.count == 1 }
        sending.passTime(ProtocolDefaults.answerTimeout)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2 && relay.cancels.isEmpty)
    }

    @Test func receiversThatAreNotThereComeLast() async throws {
        let relay = FakeRelay { offered in
            let isAway = offered.offer.to == Samples.bob && !offered.offer.wait
            return isAway
                ? [.error(.init(id: offered.offer.id, code: .peerOffline, message: ""))]
                : FakeRelay.acceptance(of: offered)
        }
        let sending = try sending([source("a"), source("b")], to: [Samples.bob, Samples.alice], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(
            relay.offers.map { "\($0.offer.to)\($0.offer.wait ? "+" : "")" } == [
                "bob", "alice", "alice", "bob+", "bob+",
            ])
    }

    @Test func withoutWaitingAReceiverThatIsNotThereIsAFailure() async throws {
        let relay = FakeRelay { offered in [.error(.init(id: offered.offer.id, code: .peerOffline, message: ""))] }
        let sending = try sending([source()], over: relay, waits: false)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.unreachable)] && relay.offers.count == 1)
    }

    @Test func aFirstConnectionThatIsRefusedFailsAllThatWaitForIt() async throws {
        let relay = FakeRelay()
        for _ in 1...3 {
            relay.refuse(ConnectionError(.certificate, "not trusted", advice: "look", status: .refused))
        }
        let sending = try sending([source("a"), source("b"), source("c")], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.refused)])
        #expect(try sending.events("failed").count == 3 && relay.offers.isEmpty)
    }

    @Test func anOutageIsWaitedForOnce() async throws {
        let relay = FakeRelay { offered in
            [.offered(.init(id: offered.offer.id, transfer: offered.offer.transfer, state: .waiting))]
        }
        let gone = ConnectionError(.tcp, "refused", advice: "look", status: .unreachable, isTemporary: true)
        let sending = try sending([source("a"), source("b")], over: relay)
        try await sending.run { try sending.events("waiting").count == 1 }
        for _ in 1...3 { relay.refuse(gone) }
        relay.lines[0].lose(gone)
        await sending.run { relay.pauses.count == 3 }
        sending.passTime(.minutes(10))
        await sending.runToEnd()
        #expect(sending.endings == [.status(.gaveUp)])
        #expect(try sending.events("failed").count == 2 && relay.offers.count == 1)
    }

    @Test func theReceiversProgressIsPassedToTheUpload() async throws {
        let relay = FakeRelay()
        let sending = try sending([source()], over: relay)
        await sending.run { relay.offers.count == 1 }
        let offer = relay.offers[0].offer
        sending.handle(.message(1, .progress(.init(id: offer.id, transfer: offer.transfer, bytes: 1))))
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
    }
}
