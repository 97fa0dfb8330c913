// SPDX-License-Identifier: Apache-2.0

import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct SessionOutboxTests {
    private static let id = RequestID.sequence(.relay, 2)
    private let transfer = TransferID.random()
    private let limits = SessionOutbox.Limits(messages: 4, bytes: 1_000_000)

    private static let small = Payload(bytes: [1])!
    private static let large = Payload(bytes: Array(repeating: 0, count: Payload.maximumLength))!

    private func ring(_ transfer: TransferID, _ payload: Payload = small) -> ServerMessage {
        .ring(
            .init(
                id: Self.id, transfer: transfer, from: PeerName(rawValue: "alice")!, key: .random(),
                payload: payload
            )
        )
    }

    private func failed(_ transfer: TransferID) -> ServerMessage {
        .failed(.init(id: Self.id, transfer: transfer, code: .cancelled, by: .peer))
    }

    private func progress(_ bytes: UInt64, _ transfer: TransferID) -> ServerMessage {
        .progress(.init(id: Self.id, transfer: transfer, bytes: bytes))
    }

    private func pong(_ number: UInt64) -> ServerMessage { .pong(.init(id: .sequence(.client, number))) }

    private func rest(_ outbox: inout SessionOutbox) -> [ServerMessage] {
        var messages: [ServerMessage] = []
        while let message = outbox.next() { messages.append(message) }
        return messages
    }

    @Test func everythingComesOutInItsOrder() {
        var outbox = SessionOutbox(limits: limits)
        let all = [pong(1), ring(transfer), pong(2), progress(1, transfer)]
        for message in all { #expect(outbox.append(message) == true) }
        #expect(!outbox.isEmpty && outbox.bytes > 0)
        #expect(rest(&outbox) == all)
        #expect(outbox.isEmpty && outbox.bytes == 0)
        #expect(outbox.next() == nil)
    }

    @Test func aRingThatIsOverIsNeverSent() {
        var outbox = SessionOutbox(limits: limits)
        let other = TransferID.random()
        for message in [pong(1), ring(transfer), ring(other), failed(transfer), pong(2)] { _ = outbox.append(message) }
        let sent = rest(&outbox)
        #expect(sent.map(\.kind) == [.pong, .ring, .pong])
        // What has been sent has to be taken back.
        #expect(outbox.append(failed(other)) == true)
        #expect(rest(&outbox).map(\.kind) == [.failed])
    }

    @Test func theLastReportOfProgressIsEnough() {
        var outbox = SessionOutbox(limits: limits)
        let other = TransferID.random()
        for bytes in 1...1000 as ClosedRange<UInt64> {
            #expect(outbox.append(progress(bytes, transfer)) == true)
            #expect(outbox.append(progress(bytes, other)) == true)
        }
        #expect(rest(&outbox) == [progress(1000, transfer), progress(1000, other)])
    }

    /// Rings that come and go while nothing is read: what an offer holds is not held here.
    @Test func whatIsLeftOutTakesNoPlace() {
        var outbox = SessionOutbox(limits: limits)
        for _ in 0..<1000 {
            let transfer = TransferID.random()
            #expect(outbox.append(ring(transfer, Self.large)) == true)
            #expect(outbox.append(failed(transfer)) == true)
        }
        #expect(outbox.isEmpty && outbox.bytes == 0)
        #expect(outbox.append(pong(1)) == true)
        #expect(rest(&outbox) == [pong(1)])
    }

    @Test func thereAreSoManyMessagesAndNoMore() {
        var outbox = SessionOutbox(limits: limits)
        let taken = (1...5).map { outbox.append(pong($0)) }
        #expect(taken == [true, true, true, true, false])
    }

    @Test func bytesThatAnOfferHoldsAreNotCounted() {
        var outbox = SessionOutbox(limits: .init(messages: 1000, bytes: 60_000))
        for _ in 0..<50 { #expect(outbox.append(ring(.random(), Self.large)) == true) }
        #expect(outbox.append(.delivered(.init(id: Self.id, transfer: transfer, payload: Self.large))) == false)
    }

    @Test func aSessionThatEndsNeedsNoRings() {
        var outbox = SessionOutbox(limits: limits)
        for message in [ring(.random()), pong(1), ring(.random())] { _ = outbox.append(message) }
        outbox.leaveOutRings()
        #expect(rest(&outbox) == [pong(1)])
    }

    /// A flood of requests leaves room for what the session has to hear.
    @Test func requestsTakeHalfOfThePlaceAtMost() {
        let request = ServerMessage.requested(
            .init(
                id: Self.id, request: .random(), from: PeerName(rawValue: "alice")!, key: .random(), payload: Self.large
            ))
        var few = SessionOutbox(limits: limits)
        for _ in 0..<2 {
            #expect(few.isLessThanHalfFull(with: request))
            _ = few.append(request)
        }
        #expect(!few.isLessThanHalfFull(with: request))
        var small = SessionOutbox(limits: .init(messages: 1000, bytes: 3 * 45_000))
        #expect(small.isLessThanHalfFull(with: request))
        _ = small.append(request)
        #expect(small.bytes > 43_000 && !small.isLessThanHalfFull(with: request))
        _ = small.next()
        #expect(small.isLessThanHalfFull(with: request))
    }

    @Test func halfOfTheUnreadBytesOfAUserOrAnAddress() throws {
        let unread = UnreadBytes(limit: 100, limitOfAddress: 150)
        let (alice, bob) = (PeerName(rawValue: "alice")!, PeerName(rawValue: "bob")!)
        _ = unread.add(50, of: alice, at: "a")
        #expect(unread.isLessThanHalfFull(of: alice, at: "a"))
        _ = unread.add(1, of: alice, at: "b")
        #expect(!unread.isLessThanHalfFull(of: alice, at: "a") && unread.isLessThanHalfFull(of: bob, at: "a"))
        _ = unread.add(26, of: bob, at: "a")
        #expect(!unread.isLessThanHalfFull(of: bob, at: "a") && unread.isLessThanHalfFull(of: bob, at: "c"))
    }

    @Test func unreadBytesAreCountedForEachUserAndAddress() throws {
        let unread = UnreadBytes(limit: 100, limitOfAddress: 150)
        let (alice, bob) = (PeerName(rawValue: "alice")!, PeerName(rawValue: "bob")!)
        #expect(unread.add(60, of: alice, at: "a") == nil && unread.add(60, of: bob, at: "a") == nil)
        #expect(unread.add(60, of: alice, at: "b") == .user)
        #expect(unread.add(-60, of: alice, at: "b") == nil)
        #expect(unread.add(35, of: bob, at: "a") == .address)
        #expect(unread.add(-60, of: alice, at: "a") == nil && unread.add(-95, of: bob, at: "a") == nil)
        #expect(unread.count == 0)
        let boundless = UnreadBytes(limit: 100, limitOfAddress: nil)
        for name in [alice, bob] { #expect(boundless.add(100, of: name, at: "a") == nil) }
    }
}
