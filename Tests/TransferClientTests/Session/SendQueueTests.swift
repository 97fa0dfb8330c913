// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct SendQueueTests {
    typealias Item = SendQueue.Item

    private let bob: PeerName
    private let carol: PeerName

    init() throws {
        bob = try #require(PeerName(rawValue: "bob"))
        carol = try #require(PeerName(rawValue: "carol"))
    }

    private func item(_ size: UInt64?, to peer: PeerName? = nil) -> Item {
        Item(transfer: .random(), peer: peer ?? bob, size: size)
    }

    // MARK: - How many at once

    /// A queue of one receiver, whose client has accepted one content at once, with `sizes` behind it.
    private func unasked(_ sizes: [UInt64?]) -> SendQueue {
        let first = item(1)
        var queue = SendQueue([first] + sizes.map { item($0) }, waits: true)
        _ = queue.next()
        queue.accepted(first.transfer, after: .milliseconds(1))
        queue.ended(first.transfer)
        return queue
    }

    /// How many of `sizes` go at once.
    private func together(_ sizes: [UInt64?]) -> Int {
        var queue = unasked(sizes)
        var count = 0
        while queue.next() != nil { count += 1 }
        return count
    }

    @Test func aContentOfAnySizeMayGoAlone() {
        for size in [0, 3, 1 << 50, nil] as [UInt64?] {
            var queue = SendQueue([item(size)], waits: true)
            #expect(queue.next()?.item.size == .some(size))
            #expect(queue.next() == nil)
        }
    }

    @Test func smallOnesGoTogetherUpToTheirNumber() {
        #expect(together([UInt64?](repeating: 3, count: 40)) == TransferDefaults.parallelSends)
    }

    /// It has changed meanwhile, and goes as another transfer.
    @Test func whatTakesThePlaceOfAnotherTakesItsTurn() {
        let (first, second, other) = (item(3), item(3), TransferID.random())
        var queue = SendQueue([first, second], waits: true)
        _ = queue.next()
        queue.becomes(first.transfer, other)
        #expect(queue.next() == nil)
        queue.ended(first.transfer)
        #expect(queue.next() == nil)
        queue.ended(other)
        #expect(queue.next()?.item == second)
    }

    @Test func theBytesOnTheirWayAreBounded() {
        let most = TransferDefaults.parallelSendBytes
        #expect(together([most - 10, 10]) == 2 && together([most - 10, 11]) == 1)
        for large in [most + 1, nil, .max] as [UInt64?] {
            #expect(together([3, large]) == 1 && together([large, 0]) == 1)
        }
    }

    @Test func aPersonIsAskedAboutOneAtATime() throws {
        let items = (1...4).map { _ in item(3) }
        var queue = SendQueue(items + [item(3, to: carol)], waits: true)
        _ = queue.next()
        // Whether a person is asked is not known yet. Another receiver has a person of its own.
        #expect(queue.next()?.item.peer == carol)
        #expect(queue.next() == nil)
        queue.accepted(items[0].transfer, after: TransferDefaults.unaskedAnswer + .milliseconds(1))
        #expect(queue.next() == nil)
        queue.accepted(items[0].transfer, after: TransferDefaults.unaskedAnswer)
        #expect(queue.next()?.item == items[1])
        // With two on their way, one may wait for the other.
        queue.accepted(items[1].transfer, after: .seconds(60))
        #expect(queue.next()?.item == items[2])
        queue.ended(items[0].transfer)
        queue.ended(items[1].transfer)
        queue.accepted(items[2].transfer, after: .seconds(60))
        #expect(queue.next() == nil)
        queue.ended(items[2].transfer)
        #expect(queue.next()?.item == items[3])
        #expect(queue.next() == nil)
    }

    @Test func eventsOfATransferThatIsNotActiveChangeNothing() {
        var queue = unasked([3, 3])
        queue.accepted(.random(), after: .seconds(60))
        queue.ended(.random())
        #expect(queue.next() != nil && queue.next() != nil)
    }

    // MARK: - Several receivers

    @Test func noReceiverWaitsForAnother() {
        let large = TransferDefaults.parallelSendBytes + 1
        for size in [3, large, nil] as [UInt64?] {
            let items = [item(size), item(size), item(size, to: carol), item(size), item(size, to: carol)]
            var queue = SendQueue(items, waits: true)
            // One to each, in their order, and each is waited for.
            for expected in [items[0], items[2]] {
                let next = queue.next()
                #expect(next?.item == expected && next?.waits == true)
            }
            #expect(queue.next() == nil)
            queue.ended(items[2].transfer)
            #expect(queue.next()?.item == items[4])
            queue.ended(items[4].transfer)
            #expect(queue.next() == nil)
            queue.ended(items[0].transfer)
            #expect(queue.next()?.item == items[1])
        }
    }

    @Test func theReceiversAtOnceAreBounded() {
        let items = (0...TransferDefaults.parallelReceivers).compactMap { number in
            PeerName(rawValue: "peer\(number)").map { item(1 << 40, to: $0) }
        }
        var queue = SendQueue(items, waits: true)
        for expected in items.dropLast() { #expect(queue.next()?.item == expected) }
        #expect(queue.next() == nil)
        queue.ended(items[5].transfer)
        #expect(queue.next()?.item == items.last)
    }

    @Test func theBytesToOneReceiverDoNotCountForAnother() {
        let most = TransferDefaults.parallelSendBytes
        var queue = SendQueue([item(most), item(most, to: carol), item(1), item(1, to: carol)], waits: true)
        for peer in [bob, carol] {
            let next = queue.next()?.item
            #expect(next?.peer == peer && next?.size == most)
            if let next { queue.accepted(next.transfer, after: .zero) }
        }
        #expect(queue.next() == nil)
    }

    @Test func withoutWaitingNoOfferWaits() {
        var queue = SendQueue([item(1), item(1, to: carol)], waits: false)
        for _ in 1...2 { #expect(queue.next()?.waits == false) }
    }

    @Test func aReceiverThatDidNotAppearIsNotWaitedForAgain() {
        let items = [item(1), item(1), item(1, to: carol)]
        var queue = SendQueue(items, waits: true)
        #expect(queue.next()?.waits == true)
        #expect(!queue.hasMissed(bob))
        queue.waitedInVain(for: bob)
        #expect(queue.hasMissed(bob) && !queue.hasMissed(carol))
        queue.ended(items[0].transfer)
        #expect(queue.next()?.waits == false)
        #expect(queue.next()?.waits == true)
    }
}
