// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// One connection, and the parts that share it.
@Suite(.timeLimit(.minutes(5))) struct ControlSessionTests {
    private let files: SentFiles
    /// What comes in.
    private let incoming: SourceTree

    init() throws {
        files = try SentFiles()
        incoming = try files.tree("in", size: 7)
    }

    /// A session that sends one file and receives, both over one connection.
    private func both(_ relay: FakeRelay, _ folder: ReceivedFolder) throws -> SessionFixture {
        try SessionFixture(relay, keeping: folder) { environment, queue in
            let job = SendJob(peer: Samples.alice, tree: try files.tree("out"))
            let settings = ReceiveSettings(
                policy: ReceivePolicy(isTrusting: true), output: .folder(folder.parts()), isOnce: true
            )
            return [
                Sender([job], waits: true, patience: .minutes(10), environment: environment, queue: queue),
                Receiver(settings, ask: nil, environment: environment, queue: queue),
            ]
        }
    }

    /// Alice offers something to `session` on its newest connection.
    private func ring(_ session: SessionFixture) throws -> SentOffer {
        let alice = try session.relay.peer(Samples.alice)
        let offer = try alice.offer(incoming.summary, of: transfer, to: session.environment.sealing)
        session.relay.lines.last?.say([.ring(try alice.ring(offer))])
        return offer
    }

    private let transfer = CarriedTransfer.random()

    /// What alice sends once her offer was accepted.
    private func stream(_ offer: SentOffer, over relay: FakeRelay) throws -> [UInt8] {
        let accept = try #require(relay.accepts[offer.parties.attempt])
        let (acceptance, keys) = try AcceptSealing.open(Array(accept.payload.bytes), to: offer)
        let alice = try relay.peer(Samples.alice)
        return try sealedStream(of: incoming, as: transfer, acceptance, keys: keys, signedBy: alice.signingKey)
    }

    @Test func oneConnectionSendsAndReceives() async throws {
        let (relay, folder) = (FakeRelay(), try ReceivedFolder())
        let session = try both(relay, folder)
        await session.run { relay.presences == 1 && relay.offers.count == 1 }
        let offer = try ring(session)
        let incoming = offer.parties.attempt
        await session.run { relay.accepts[incoming] != nil }
        let id = try #require(relay.accepts[incoming]).id
        relay.lines[0].say([
            .start(
                .init(
                    id: id, transfer: incoming, role: .download, token: .random(), url: "/", expires: 60, payload: nil))
        ])
        await session.run { relay.downloads.count == 1 }
        relay.downloads[0].bring(try stream(offer, over: relay))
        await session.run { relay.said.contains { if case .delivered = $0 { true } else { false } } }
        for case .delivered(let delivered) in relay.said { relay.lines[0].say([.ok(.init(id: delivered.id))]) }
        await session.runToEnd()
        #expect(session.endings == [.status(.done), .status(.done)])
        #expect(relay.lines.count == 1)
        for part in session.session.parts { await part.stopped() }
        #expect(try folder.listing() == ["in"])
        #expect(try session.events("delivered", "received").sorted() == ["delivered", "received"])
    }

    @Test func bothPartsGoOnAfterTheConnectionIsLost() async throws {
        let relay = FakeRelay { offered in offered.number == 1 ? [] : FakeRelay.acceptance(of: offered) }
        let session = try both(relay, try ReceivedFolder())
        await session.run { relay.presences == 1 && relay.offers.count == 1 }
        relay.lines[0].lose(ConnectionError(closed: 1001, reason: .peer(""), relay: session.environment.relay))
        await session.runToPause()
        session.passTime()
        await session.run { relay.presences == 2 && session.endings[0] != nil }
        // The parts end each for itself.
        #expect(session.endings == [.status(.done), nil])
        #expect(relay.lines.count == 2 && relay.offers.count == 2)
        #expect(try session.events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func aNodeIsNotLeftForOnePartWhileTheOtherIsUnderWay() async throws {
        let relay = FakeRelay { offered in offered.number == 1 ? [] : FakeRelay.acceptance(of: offered) }
        let session = try both(relay, try ReceivedFolder())
        await session.run { relay.presences == 1 && relay.offers.count == 1 }
        let incoming = try ring(session).parties.attempt
        await session.run { relay.accepts[incoming] != nil }
        relay.lines[0].say([
            .error(.init(id: relay.offers[0].offer.id, code: .draining, message: "")),
            .pong(.init(id: .sequence(.relay, 5))),
        ])
        await session.run { session.session.deadline.map { $0 <= session.clock.now() + .seconds(1) } ?? false }
        session.passTime()
        #expect(relay.lines.count == 1 && !relay.lines[0].isClosed && relay.offers.count == 1)
        #expect(try session.events("reconnecting").isEmpty)
        relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 6), transfer: incoming, code: .stalled, by: .relay))
        ])
        await session.run { relay.lines.count == 2 }
        await session.run { session.endings[0] != nil }
        #expect(relay.offers.count == 2)
    }

    @Test func everyPartHearsOfAnInterrupt() async throws {
        let relay = FakeRelay { offered in
            [offered.state(.ringing)]
        }
        let session = try both(relay, try ReceivedFolder())
        await session.run { relay.offers.count == 1 && relay.presences == 1 }
        session.handle(.interrupted)
        await session.runToEnd()
        #expect(session.endings == [.status(.interrupted), .status(.interrupted)])
        #expect(relay.cancels.map(\.code) == [.cancelled])
    }

    @Test func messagesOfAnEarlierConnectionAreIgnored() async throws {
        let relay = FakeRelay { offered in offered.number == 1 ? [] : FakeRelay.acceptance(of: offered) }
        let session = try both(relay, try ReceivedFolder())
        await session.run { relay.offers.count == 1 && relay.presences == 1 }
        let url = session.environment.relay
        session.handle(.ended(1, ConnectionError(closed: nil, reason: .lost, relay: url)))
        let offer = relay.offers[0].offer
        session.handle(.message(1, .error(.init(id: offer.id, code: .unknownPeer, message: ""))))
        session.handle(.ended(1, ConnectionError(closed: nil, reason: .lost, relay: url)))
        #expect(session.endings == [nil, nil])
        #expect(try session.events("reconnecting").count == 1)
    }

    @Test func aRunEndsWithTheStatusOfThePartThatDidNotEndWell() async throws {
        let relay = FakeRelay { offered in
            [offered.failed(.noSpace, by: .peer)]
        }
        let fixture = try SessionFixture(relay) { _, _ in [] }
        let environment = fixture.environment
        let queue = EventQueue<SessionEvent>()
        let job = SendJob(peer: Samples.alice, tree: try files.tree("out"))
        let sender = Sender([job], waits: true, patience: .minutes(10), environment: environment, queue: queue)
        var session = ControlSession(environment, queue: queue, parts: [sender])
        let status = try await session.run()
        #expect(status == .inputOutput && relay.lines[0].isClosed)
        #expect(try fixture.events("failed").count == 1)
    }
}
