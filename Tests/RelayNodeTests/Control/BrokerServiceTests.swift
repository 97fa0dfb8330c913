// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOCore
import NIOEmbedded
import RelayTestFixtures
import StreamRelay
import Synchronization
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

/// Cancels its offer from within the delivery of the first `offered`.
private final class HastySink: SessionSink {
    let session = Mutex<SessionID?>(nil)
    private let transfer: TransferID
    private unowned let service: BrokerService

    init(_ transfer: TransferID, _ service: BrokerService) {
        self.transfer = transfer
        self.service = service
    }

    func send(_ message: ServerMessage) {
        guard message.kind == .offered, let session = session.withLock({ $0 }) else { return }
        let cancel = ClientMessage.Cancel(id: .unknown, transfer: transfer, code: .cancelled)
        service.handle(.requestReceived(.cancel(cancel), from: session))
    }

    func close(_: WebSocketCloseCode) {}
}

/// Remembers what it was asked to cut.
private final class RecordingStreams: StreamControl {
    let ended = Mutex<[TransferOutcome]>([])
    let count = 0

    func abortAll(of home: NodeID, code: FailureCode) {}
    func end(_: StreamKey, _ outcome: TransferOutcome) { ended.withLock { $0.append(outcome) } }
}

@Suite struct BrokerServiceTests {
    private let streams = RecordingStreams()
    private let service: BrokerService

    init() {
        service = BrokerService(streams: streams)
    }

    private func open(_ name: String, _ sink: RecordingSink, receiving: Bool = true) -> SessionID {
        let session = service.connected(sink)
        service.handle(.sessionOpened(session, BrokerFixture.user(name), .unknown))
        if receiving { ask(session, .presence(.init(id: .unknown, receiving: true))) }
        return session
    }

    private func ask(_ session: SessionID, _ message: ClientMessage, found: LookupResult? = nil) {
        service.handle(.requestReceived(message, from: session, found: found))
    }

    private func offer(_ session: SessionID, _ transfer: TransferID) {
        let bob = BrokerFixture.user("bob")
        let payload = BrokerFixture.payload
        ask(
            session,
            .offer(.init(id: .unknown, transfer: transfer, to: bob.name, wait: true, payload: payload)),
            found: LookupResult(user: bob, elsewhere: .none)
        )
    }

    private func accept(_ session: SessionID, _ transfer: TransferID) {
        ask(session, .accept(.init(id: .unknown, transfer: transfer, payload: BrokerFixture.payload)))
    }

    @Test func ofAThousandClaimsOneSucceeds() throws {
        let sink = RecordingSink()
        let alice = open("alice", RecordingSink(), receiving: false)
        let bob = open("bob", sink)
        for _ in 0..<10 {
            let transfer = TransferID.random()
            offer(alice, transfer)
            accept(bob, transfer)
            let token = try #require(sink.takeTokens().first)
            let winners = Mutex(0)
            DispatchQueue.concurrentPerform(iterations: 1000) { index in
                // Those of the wrong side take part and disturb nothing.
                let role: TransferRole = index.isMultiple(of: 10) ? .upload : .download
                if service.claim(TokenDigest(token), as: role, by: .alone) != nil { winners.withLock { $0 += 1 } }
            }
            #expect(winners.withLock { $0 } == 1)
            ask(alice, .cancel(.init(id: .unknown, transfer: transfer, code: .cancelled)))
        }
    }

    @Test func ofManyRacingAcceptsOneWins() {
        let alice = open("alice", RecordingSink(), receiving: false)
        let sinks = (0..<16).map { _ in RecordingSink() }
        let bobs = sinks.map { open("bob", $0) }
        for _ in 0..<50 {
            let transfer = TransferID.random()
            offer(alice, transfer)
            DispatchQueue.concurrentPerform(iterations: bobs.count) { accept(bobs[$0], transfer) }
            #expect(sinks.flatMap { $0.takeTokens() }.count == 1)
            ask(alice, .cancel(.init(id: .unknown, transfer: transfer, code: .cancelled)))
        }
        #expect(service.status.failed == 50)
    }

    @Test func whatASessionHearsKeepsItsOrder() {
        let sink = RecordingSink()
        _ = open("bob", sink)
        let senders = (0..<8).map { open("alice\($0)", RecordingSink(), receiving: false) }
        _ = sink.take()
        DispatchQueue.concurrentPerform(iterations: senders.count) { index in
            for _ in 0..<100 {
                let transfer = TransferID.random()
                offer(senders[index], transfer)
                ask(senders[index], .cancel(.init(id: .unknown, transfer: transfer, code: .cancelled)))
            }
        }
        // The relay's ids count up as the broker decides, so they show the order.
        let ids = sink.take().compactMap { delivery -> RequestID? in
            switch delivery {
            case .message(.ring(let message)): message.id
            case .message(.failed(let message)): message.id
            default: nil
            }
        }
        let expected = (0..<1600).map { RequestID.sequence(.relay, UInt64($0 + 2)) }
        // Compared outside the macro, which would print them all.
        let isInOrder = ids == expected
        #expect(isInOrder)
    }

    @Test func whatADeliveryCausesComesAfterIt() {
        let bobs = RecordingSink()
        _ = open("bob", bobs)
        _ = bobs.take()
        let transfer = TransferID.random()
        // The sender takes its offer back the moment it hears of it, which is before the ring has gone out.
        let sink = HastySink(transfer, service)
        let alice = service.connected(sink)
        sink.session.withLock { $0 = alice }
        service.handle(.sessionOpened(alice, BrokerFixture.user("alice"), .unknown))
        offer(alice, transfer)
        let kinds = bobs.take().map { if case .message(let message) = $0 { message.kind.rawValue } else { "close" } }
        #expect(kinds == ["ring", "failed"])
    }

    @Test func streamsAreCutAndClaimsAnswered() async throws {
        let sink = RecordingSink()
        let alice = open("alice", RecordingSink(), receiving: false)
        let bob = open("bob", sink)
        let transfer = TransferID.random()
        offer(alice, transfer)
        accept(bob, transfer)
        let token = try #require(sink.takeTokens().first)
        let loop = NIOAsyncTestingEventLoop()
        #expect(try await service.claim(token, as: .download, on: loop).get()?.stream.transfer == transfer)
        #expect(try await service.claim(token, as: .download, on: loop).get() == nil)
        service.handle(.sessionClosed(alice))
        #expect(streams.ended.withLock { $0 } == [.failed(.senderGone)])
    }

    @Test func aStopWaitsForWhatIsRunning() throws {
        let sinks = [RecordingSink(), RecordingSink(), RecordingSink()]
        let alice = open("alice", sinks[0], receiving: false)
        let bob = open("bob", sinks[1])
        _ = service.connected(sinks[2])
        let transfer = TransferID.random()
        offer(alice, transfer)
        accept(bob, transfer)
        let token = try #require(sinks[1].takeTokens().first)
        _ = service.claim(TokenDigest(token), as: .download, by: .alone)
        service.beginDrain()
        let idle = Mutex(0)
        let idleNow: @Sendable () -> Int = { idle.withLock { $0 } }
        service.whenIdle { idle.withLock { $0 += 1 } }
        #expect(idleNow() == 0 && service.activeTransfers == 1 && service.status.isDraining)
        service.streamChanged(StreamKey(home: .alone, transfer: transfer), .cut(.stalled, bytes: 1))
        #expect(idleNow() == 1 && service.activeTransfers == 0)
        service.whenIdle { idle.withLock { $0 += 1 } }
        #expect(idleNow() == 2)
        _ = sinks.map { $0.take() }
        service.closeAllSessions()
        #expect(sinks.map { $0.take() } == [[.close(.goingAway)], [.close(.goingAway)], [.close(.goingAway)]])
        #expect(service.connections == 3)
        service.handle(.sessionClosed(alice))
        #expect(service.connections == 2)
    }

    @Test func deadlinesPassWhileItSweeps() throws {
        let loop = EmbeddedEventLoop()
        let start = NIODeadline.now()
        let elapsed = Mutex(TimeAmount.zero)
        let service = BrokerService(clock: { start + elapsed.withLock { $0 } })
        let task = service.startSweeping(on: loop)
        let alice = BrokerFixture.user("alice")
        let sink = RecordingSink()
        let session = service.connected(sink)
        service.handle(.sessionOpened(session, alice, .unknown))
        let other = service.connected(RecordingSink())
        service.handle(.sessionOpened(other, alice, .unknown))
        ask(.presence(.init(id: .unknown, receiving: true)), other, service)
        let payload = BrokerFixture.payload
        let offer = ClientMessage.Offer(id: .unknown, transfer: .random(), to: alice.name, wait: true, payload: payload)
        ask(.offer(offer), session, service, found: LookupResult(user: alice, elsewhere: .none))
        loop.advanceTime(by: .seconds(5))
        #expect(service.status.ringing == 1)
        elapsed.withLock { $0 = .minutes(10) }
        loop.advanceTime(by: Defaults.Broker.sweepInterval)
        #expect(service.status.ringing == 0 && service.status.failed == 1)
        guard case .message(.failed(let failed))? = sink.take().last else { return #expect(Bool(false)) }
        #expect(failed.code == .expired)
        task.cancel()
    }

    private func ask(
        _ message: ClientMessage, _ session: SessionID, _ service: BrokerService, found: LookupResult? = nil
    ) {
        service.handle(.requestReceived(message, from: session, found: found))
    }

    @Test func aRemovedNamesSessionsAreClosed() {
        let sinks = [RecordingSink(), RecordingSink()]
        _ = open("alice", sinks[0])
        _ = open("bob", sinks[1])
        _ = sinks.map { $0.take() }
        service.nameRemoved(BrokerFixture.user("bob").name)
        #expect(sinks.map { $0.take() } == [[], [.close(.loginFailed)]])
    }
}
