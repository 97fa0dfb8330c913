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
        // Whether a person is asked is not known yet.
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
        // Another receiver has a person of its own.
        #expect(queue.next()?.item.peer == carol)
    }

    @Test func eventsOfATransferThatIsNotActiveChangeNothing() {
        var queue = unasked([3, 3])
        queue.accepted(.random(), after: .seconds(60))
        queue.ended(.random())
        #expect(queue.next() != nil && queue.next() != nil)
        let isPostponed = queue.postpone(.random())
        #expect(!isPostponed)
    }

    // MARK: - Which is next

    /// Whose turn it is, in this order, with a `+` where the offer may wait; the names in `absent` are not there.
    private func turns(_ words: String, waits: Bool, absent: Set<String>) throws -> String {
        var names: [TransferID: String] = [:]
        let items = try words.split(separator: " ").map { word in
            let item = Item(
                transfer: .random(), peer: try #require(PeerName(rawValue: String(word.dropLast()))), size: 1
            )
            names[item.transfer] = String(word)
            return item
        }
        var queue = SendQueue(items, waits: waits)
        var turns: [String] = []
        while let (item, waits) = queue.next() {
            turns.append((names[item.transfer] ?? "?") + (waits ? "+" : ""))
            let isAbsent = !waits && absent.contains(item.peer.rawValue)
            if isAbsent, queue.postpone(item.transfer) { continue }
            if isAbsent { turns.append("failed") }
            queue.ended(item.transfer)
        }
        return turns.joined(separator: " ")
    }

    private static let words = "bob1 carol1 dave1 bob2 carol2 dave2"

    @Test func receiversThatAreThereGoFirst() throws {
        #expect(try turns(Self.words, waits: true, absent: []) == Self.words)
        #expect(
            try turns(Self.words, waits: true, absent: ["bob", "dave"])
                == "bob1 carol1 dave1 carol2 bob1+ dave1+ bob2+ dave2+")
    }

    @Test func withoutWaitingNoReceiverIsPostponed() throws {
        #expect(
            try turns("bob1 carol1 bob2 carol2", waits: false, absent: ["bob"])
                == "bob1 failed carol1 bob2 failed carol2")
    }

    @Test func aSingleReceiverIsWaitedForAtOnce() throws {
        #expect(try turns("bob1 bob2", waits: true, absent: ["bob"]) == "bob1+ bob2+")
        #expect(try turns("", waits: true, absent: []).isEmpty)
    }

    @Test func absentReceiversGetTheirTurnAfterAllOthers() throws {
        let items = [item(1), item(1, to: carol), item(1)]
        var queue = SendQueue(items, waits: true)
        #expect(queue.next()?.item == items[0])
        let isPostponed = queue.postpone(items[0].transfer)
        #expect(isPostponed)
        #expect(queue.next()?.item == items[1])
        // Carol's is still on its way, and bob is not there: the second one for bob waits with the first.
        #expect(queue.next() == nil)
        queue.ended(items[1].transfer)
        #expect(queue.next()?.item == items[0])
        queue.accepted(items[0].transfer, after: .zero)
        // From now on they go as any others.
        #expect(queue.next()?.item == items[2])
        #expect(queue.next() == nil)
    }

    @Test func aReceiverThatDidNotAppearIsNotWaitedForAgain() throws {
        let items = [item(1), item(1), item(1, to: carol)]
        var queue = SendQueue(items, waits: true)
        #expect(queue.next()?.waits == false)
        #expect(!queue.hasMissed(bob))
        queue.waitedInVain(for: bob)
        #expect(queue.hasMissed(bob) && !queue.hasMissed(carol))
        let isPostponed = queue.postpone(items[0].transfer)
        #expect(!isPostponed)
        queue.ended(items[0].transfer)
        #expect(queue.next()?.waits == false)
    }
}
