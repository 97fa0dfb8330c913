// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import RelayClient

@Suite struct SendOrderTests {
    /// One job for each word: the receiver's name, and the number of the file.
    private func jobs(_ words: String) throws -> [SendJob] {
        try words.split(separator: " ").map { word in
            SendJob(
                peer: try #require(PeerName(rawValue: String(word.dropLast()))),
                source: StandardInputSource(name: String(word), descriptor: -1)
            )
        }
    }

    /// Whose turn it was, in this order, with a `+` where the offer might wait; whoever is in `absent` was not there.
    private func turns(_ words: String, waits: Bool, absent: Set<String>) throws -> String {
        var order = SendOrder(try jobs(words), waits: waits)
        var turns: [String] = []
        while let (job, waits) = order.next(isIdle: true, admits: { _ in true }) {
            turns.append(job.source.name + (waits ? "+" : ""))
            if !waits, absent.contains(job.peer.rawValue), !order.postpone(job) { turns.append("failed") }
        }
        return turns.joined(separator: " ")
    }

    private static let words = "bob1 carol1 dave1 bob2 carol2 dave2"

    @Test func whoeverIsThereGoesFirst() throws {
        #expect(try turns(Self.words, waits: true, absent: []) == Self.words)
        #expect(
            try turns(Self.words, waits: true, absent: ["bob", "dave"])
                == "bob1 carol1 dave1 carol2 bob1+ dave1+ bob2+ dave2+")
    }

    @Test func withoutWaitingNothingIsPutOff() throws {
        #expect(
            try turns("bob1 carol1 bob2 carol2", waits: false, absent: ["bob"])
                == "bob1 failed carol1 bob2 failed carol2")
    }

    @Test func theLateComeOnceAllOthersAreThrough() throws {
        var order = SendOrder(try jobs("bob1 carol1 bob2"), waits: true)
        func next(isIdle: Bool, admits: Bool = true) -> String? {
            order.next(isIdle: isIdle, admits: { _ in admits })?.job.source.name
        }
        let first = order.next(isIdle: true, admits: { _ in true })
        let bob = try #require(first).job
        #expect(next(isIdle: false, admits: false) == nil)
        let isPostponed = order.postpone(bob)
        #expect(isPostponed)
        #expect(next(isIdle: true) == "carol1")
        // Carol's is still on its way, and bob is not there: his second one waits with the first.
        #expect(next(isIdle: false) == nil)
        #expect(next(isIdle: true) == "bob1")
        // From now on they may go as the window admits them.
        #expect(next(isIdle: false, admits: false) == nil)
        #expect(next(isIdle: false) == "bob2")
        #expect(next(isIdle: true) == nil)
    }

    @Test func aSingleReceiverIsWaitedForAtOnce() throws {
        #expect(try turns("bob1 bob2", waits: true, absent: ["bob"]) == "bob1+ bob2+")
        #expect(try turns("", waits: true, absent: []).isEmpty)
    }
}
