// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a client does that is told to move to another node.
@Suite(.timeLimit(.minutes(5))) struct MovingTests {
    private static let move = ServerMessage.move(.init(id: .sequence(.relay, 7), deadline: 10))

    private let files: SentFiles

    init() throws { files = try SentFiles() }

    /// A question that is answered when the test says so.
    private struct Person: Sendable {
        private let answers: AsyncStream<Bool>
        private let answer: AsyncStream<Bool>.Continuation

        init() { (answers, answer) = AsyncStream.makeStream() }

        func says(_ yes: Bool) {
            answer.yield(yes)
            answer.finish()
        }

        func heard() async -> Bool {
            for await answer in answers { return answer }
            return false
        }
    }

    /// A session that receives, and asks `person`.
    private func receiving(_ person: Person, into folder: ReceivedFolder) throws -> SessionFixture {
        try SessionFixture(keeping: folder) { environment, queue in
            let settings = ReceiveSettings(policy: ReceivePolicy(), output: .folder(folder.parts()), isOnce: true)
            let ask: @Sendable (OfferQuestion) async -> Bool = { _ in await person.heard() }
            return [Receiver(settings, ask: ask, environment: environment, queue: queue)]
        }
    }

    private func lost(_ session: SessionFixture) -> ConnectionError {
        ConnectionError(closed: 1001, reason: .peer(""), relay: session.environment.relay)
    }

    /// Moves a session with one connection that has to be found, until the old one is not needed for that.
    private func move(_ session: SessionFixture, from presences: Int = 1) async {
        session.relay.lines[0].say([Self.move])
        await session.run { session.relay.lines.count == 2 && session.relay.presences == presences + 1 }
        await session.run { session.session.deadline.map { $0 <= session.clock.now() + .seconds(1) } ?? false }
    }

    @Test func theNewConnectionStandsBeforeTheOldOneIsClosed() async throws {
        let receiving = try ReceivingFixture()
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        await move(session)
        #expect(!relay.lines[0].isClosed, "it is kept until every node can find the new one")
        session.passTime(.seconds(1))
        await session.run { relay.lines[0].isClosed }
        guard case .presence(let last)? = relay.said.last else { return #expect(Bool(false), "\(relay.said)") }
        #expect(!last.receiving && relay.presences == 3)
        // Everything comes by the new one.
        try await receiving.receive()
        #expect(try session.events("ready", "reconnecting", "reconnected", "received") == ["ready", "received"])
        #expect(relay.pauses == [nil, nil])
    }

    @Test func aQuestionThatIsOpenIsAnsweredOnTheNewConnection() async throws {
        let (person, folder) = (Person(), try ReceivedFolder())
        let session = try receiving(person, into: folder)
        let (relay, alice) = (session.relay, try session.relay.peer(Samples.alice))
        await session.run { relay.presences == 1 }
        let tree = try files.tree("file")
        let offer = try alice.offer(tree.summary, of: .random(), to: session.environment.sealing)
        relay.lines[0].say([.ring(try alice.ring(offer))])
        try await session.run { try session.events("offered").count == 1 }
        await move(session)
        session.passTime(.seconds(1))
        #expect(!relay.lines[0].isClosed, "the ring has not come by the new one")
        relay.lines[1].say([.ring(try alice.ring(offer))])
        await session.run { relay.lines[0].isClosed }
        person.says(true)
        await session.run { relay.accepts[offer.parties.attempt] != nil }
        relay.lines[1].say([try start(offer, relay)])
        await session.run { relay.downloads.count == 1 }
        #expect(try session.events("offered", "withdrawn", "interrupted") == ["offered"])
    }

    @Test func aQuestionThatIsOpenIsThatOfTheLaterAttempt() async throws {
        let (person, folder) = (Person(), try ReceivedFolder())
        let session = try receiving(person, into: folder)
        let (relay, alice) = (session.relay, try session.relay.peer(Samples.alice))
        await session.run { relay.presences == 1 }
        let (tree, transfer) = (try files.tree("file"), CarriedTransfer.random())
        let sealing = session.environment.sealing
        let first = try alice.offer(tree.summary, of: transfer, to: sealing)
        let second = try alice.offer(tree.summary, of: transfer, as: .random(), to: sealing)
        // What only looks like the same is another offer.
        let other = try alice.offer(tree.summary, of: .random(), to: sealing)
        relay.lines[0].say([.ring(try alice.ring(first))])
        try await session.run { try session.events("offered").count == 1 }
        let gone = ServerMessage.Failed(
            id: .sequence(.relay, 9), transfer: first.parties.attempt, code: .senderGone, by: .relay)
        relay.lines[0].say([.ring(try alice.ring(second)), .failed(gone), .ring(try alice.ring(other))])
        try await session.run { try session.events("offered").count == 2 }
        #expect(try session.events("withdrawn").isEmpty)
        person.says(true)
        await session.run { relay.accepts[second.parties.attempt] != nil }
        #expect(relay.accepts[first.parties.attempt] == nil)
        relay.lines[0].say([try start(second, relay)])
        await session.run { relay.downloads.count == 1 }
    }

    @Test func whatRunsStaysOnItsConnectionUntilItIsOver() async throws {
        let receiving = try ReceivingFixture()
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        let transfer = try receiving.ring()
        try await receiving.start(transfer)
        await move(session)
        session.passTime(.seconds(1))
        #expect(!relay.lines[0].isClosed && relay.downloads.count == 1)
        try receiving.complete()
        await session.run { !receiving.deliveries.isEmpty }
        // An answer of the other connection with the same id is about something else.
        let id = try #require(receiving.deliveries.first).id
        relay.lines[0].say([.ok(.init(id: id))])
        try await session.run { try session.events("received").count == 1 }
        await session.run { relay.lines[0].isClosed }
        #expect(try session.events("interrupted", "reconnecting").isEmpty)
    }

    @Test func whatRunsIsInterruptedWhenItsConnectionIsGoneAndTheNewOneStays() async throws {
        let receiving = try ReceivingFixture()
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        try await receiving.start(try receiving.ring())
        await move(session)
        session.passTime(.seconds(1))
        relay.lines[0].lose(lost(session))
        try await session.run { try session.events("interrupted").count == 1 }
        // The same comes again, by the new one.
        _ = try await receiving.acceptance(of: try receiving.ring())
        #expect(relay.lines.count == 2 && receiving.asked.labels.count == 1)
        #expect(try session.events("reconnecting").isEmpty)
    }

    @Test func anOfferIsMadeOnTheNewConnectionBeforeItIsTakenBackOnTheOld() async throws {
        let relay = FakeRelay { offered in
            offered.number == 1 ? [offered.state(.ringing)] : FakeRelay.acceptance(of: offered)
        }
        let session = try SessionFixture.sending([try files.tree("file")], over: relay, waits: false)
        try await session.run { try session.events("ringing").count == 1 }
        relay.lines[0].say([Self.move])
        await session.runToEnd()
        #expect(session.endings == [.status(.done)])
        #expect(relay.offers.map(\.line.number) == [1, 2] && relay.offers[1].offer.wait)
        #expect(relay.offers[1].opened?.transfer == relay.offers[0].opened?.transfer)
        #expect(relay.cancels.map(\.transfer) == [relay.offers[0].transfer])
        #expect(relay.cancels.map(\.code) == [.senderGone])
        #expect(try session.events("ringing", "waiting", "reconnecting", "delivered") == ["ringing", "delivered"])
    }

    @Test func anOfferThatIsAcceptedOnTheOldConnectionIsTakenBackOnTheNew() async throws {
        let relay = FakeRelay { offered in [offered.state(offered.number == 1 ? .ringing : .waiting)] }
        let session = try SessionFixture.sending([try files.tree("file")], over: relay)
        try await session.run { try session.events("ringing").count == 1 }
        relay.lines[0].say([Self.move])
        await session.run { relay.offers.count == 2 }
        try await session.run { try session.events("waiting").count == 1 }
        #expect(relay.cancels.isEmpty, "no receiver has been rung there yet")
        relay.lines[0].say([relay.offers[0].state(.accepted), relay.offers[0].start()])
        await session.run { session.session.isOver }
        #expect(session.endings == [.status(.done)])
        #expect(relay.cancels.map(\.transfer) == [relay.offers[1].transfer])
        #expect(relay.cancels.map(\.code) == [.senderGone] && relay.uploads.count == 1)
    }

    @Test func aRefusalOnTheNewConnectionLeavesTheOfferOnTheOld() async throws {
        let relay = FakeRelay { offered in
            offered.number == 1
                ? [offered.state(.ringing)] : [.error(.init(id: offered.id, code: .tooManyTransfers, message: ""))]
        }
        let session = try SessionFixture.sending([try files.tree("file")], over: relay)
        try await session.run { try session.events("ringing").count == 1 }
        relay.lines[0].say([Self.move])
        await session.run { relay.offers.count == 2 }
        relay.lines[0].say([relay.offers[0].state(.accepted), relay.offers[0].start()])
        await session.run { session.session.isOver }
        #expect(session.endings == [.status(.done)] && relay.offers.count == 2 && relay.cancels.isEmpty)
    }

    @Test func aPersonWhoDeclinesOnEitherConnectionIsHeard() async throws {
        for line in [1, 2] {
            let relay = FakeRelay { offered in [offered.state(offered.number == 1 ? .ringing : .waiting)] }
            let session = try SessionFixture.sending([try files.tree("file")], over: relay)
            try await session.run { try session.events("ringing").count == 1 }
            relay.lines[0].say([Self.move])
            await session.run { relay.offers.count == 2 }
            relay.lines[line - 1].say([relay.offers[line - 1].failed(.declined, by: .peer)])
            await session.run { session.session.isOver }
            #expect(session.endings == [.status(.refused)], "line \(line)")
            #expect(relay.cancels.map(\.transfer) == [relay.offers[2 - line].transfer], "line \(line)")
        }
    }

    @Test func aMoveThatDoesNotComeAboutIsTriedAgainWithoutAWord() async throws {
        let receiving = try ReceivingFixture()
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        let busy = ConnectionError(
            .webSocket, "full", advice: "wait", status: .unreachable, isTemporary: true, code: .unavailable)
        relay.refuse(busy)
        relay.refuse(busy)
        relay.lines[0].say([Self.move])
        await session.run { relay.lines.count == 2 && relay.presences == 2 }
        #expect(relay.pauses.count == 4 && relay.pauses[1] == nil && relay.pauses[2] != nil)
        #expect(try session.events("reconnecting").isEmpty)
    }

    @Test func aConnectionThatIsGoneBeforeAnotherStandsIsSaid() async throws {
        let receiving = try ReceivingFixture()
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        session.handle(.message(1, Self.move))
        session.handle(.ended(1, lost(session)))
        await session.run { relay.lines.count == 2 && relay.presences == 2 }
        try await session.run { try session.events("reconnected").count == 1 }
        #expect(try session.events("reconnecting").count == 1 && relay.pauses.count == 2)
    }

    /// The relay's answer to the `accept` of `offer`.
    private func start(_ offer: SentOffer, _ relay: FakeRelay) throws -> ServerMessage {
        let id = try #require(relay.accepts[offer.parties.attempt]).id
        return .start(
            .init(
                id: id, transfer: offer.parties.attempt, role: .download, token: .random(), url: "/", expires: 60,
                payload: nil))
    }
}
