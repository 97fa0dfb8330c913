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
        while let (job, waits) = order.next() {
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

    @Test func aSingleReceiverIsWaitedForAtOnce() throws {
        #expect(try turns("bob1 bob2", waits: true, absent: ["bob"]) == "bob1+ bob2+")
        #expect(try turns("", waits: true, absent: []).isEmpty)
    }
}
