// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayServer

@Suite struct ExchangeLimitsTests {
    @Test func sessionsPerName() {
        var fixture = ExchangeFixture { $0.sessionsPerName = 2 }
        let first = fixture.open("alice")
        _ = fixture.open("alice")
        let third = SessionID(node: .alone, number: 9)
        let open = ExchangeEvent.sessionOpened(third, ExchangeFixture.user("alice"), .unknown)
        #expect(words(fixture.handle(open)) == ["9:error.too_many_sessions", "9:close.4401"])
        #expect(words(fixture.ask(third) { .presence(.init(id: $0, receiving: true)) }).isEmpty)
        _ = fixture.handle(.sessionClosed(first))
        #expect(words(fixture.handle(open)) == ["9:welcome"])
    }

    @Test func transfersOfASession() {
        var fixture = ExchangeFixture { $0.transfersPerSession = 2 }
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let carol = fixture.open("carol", receiving: false)
        let transfers = (0..<2).map { _ in fixture.offer(alice, to: "bob").0 }
        #expect(words(fixture.offer(alice, to: "bob").1) == ["1:error.too_many_transfers"])
        for transfer in transfers { _ = fixture.accept(bob, transfer) }
        let (third, _) = fixture.offer(carol, to: "bob")
        #expect(words(fixture.accept(bob, third)) == ["2:error.too_many_transfers"])
        _ = fixture.stream(transfers[0], .cut(.stalled, bytes: 0))
        #expect(words(fixture.accept(bob, third)) == ["2:start", "3:accepted"])
    }

    @Test func offersToOneName() {
        var fixture = ExchangeFixture { $0.offersPerRecipient = 3 }
        let alice = fixture.open("alice", receiving: false)
        let carol = fixture.open("carol", receiving: false)
        for _ in 0..<3 { _ = fixture.offer(alice, to: "bob") }
        #expect(words(fixture.offer(carol, to: "bob").1) == ["2:error.too_many_transfers"])
        _ = fixture.handle(.sessionClosed(alice))
        #expect(words(fixture.offer(carol, to: "bob").1) == ["2:waiting"])
    }

    @Test func heldPayloads() {
        let size = ExchangeFixture.payload.rawValue.utf8.count
        var fixture = ExchangeFixture { $0.heldBytes = 2 * size }
        let alice = fixture.open("alice", receiving: false)
        let transfers = (0..<2).map { _ in fixture.offer(alice, to: "bob").0 }
        #expect(words(fixture.offer(alice, to: "bob").1) == ["1:error.unavailable"])
        _ = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfers[0], code: .cancelled)) }
        #expect(words(fixture.offer(alice, to: "bob").1) == ["1:waiting"])
    }

    @Test func unclaimedTokens() throws {
        var fixture = ExchangeFixture { $0.unclaimedTokens = 2 }
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let transfers = (0..<3).map { _ in fixture.offer(alice, to: "bob").0 }
        for transfer in transfers.prefix(2) { _ = fixture.accept(bob, transfer) }
        #expect(words(fixture.accept(bob, transfers[2])) == ["2:error.unavailable"])
        // Without room for the sender's token the stream that is parked has no future.
        #expect(
            words(fixture.stream(transfers[0], .downloadParked)) == [
                "1:failed.unavailable", "2:failed.unavailable", "abort.unavailable",
            ]
        )
    }

    @Test func outdatedDeadlinesDoNotPileUp() {
        var fixture = ExchangeFixture()
        let alice = fixture.open("alice", receiving: false)
        _ = fixture.open("bob")
        for _ in 0..<1000 {
            let (transfer, _) = fixture.offer(alice, to: "bob")
            _ = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) }
        }
        #expect(fixture.exchange.deadlines.count <= 66)
    }

    @Test func nothingIsLeftBehind() {
        var fixture = ExchangeFixture()
        for round in 0..<20 {
            let running = fixture.streaming()
            _ = fixture.offer(running.sender, to: "nobody")
            _ = fixture.offer(running.receiver, to: "alice")
            for session in round.isMultiple(of: 2)
                ? [running.sender, running.receiver] : [running.receiver, running.sender]
            {
                _ = fixture.handle(.sessionClosed(session))
            }
        }
        let exchange = fixture.exchange
        #expect(exchange.sessions.isEmpty && exchange.names.isEmpty && exchange.transfers.isEmpty)
        #expect(exchange.tally.activeTransfers == 0 && exchange.tally.heldBytes == 0 && exchange.tally.receiving == 0)
        #expect(exchange.ledger.count == 0)
    }
}
