// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferBroker

@Suite("Figures about time")
struct HistogramTests {
    @Test("an end belongs to the range below it, and the last range has no end")
    func ends() {
        var times = Histogram(.instants)
        times.record(.milliseconds(1))
        times.record(.nanoseconds(1_000_001))
        times.record(.hours(1))
        #expect(times.counts.first == 1)
        #expect(times.counts[1] == 1)
        #expect(times.counts.last == 1)
        #expect(times.count == 3)
        #expect(times.sum == 3_600_000_000_000 + 2_000_001)
    }

    @Test("each scale ascends", arguments: [Histogram.Scale.instants, .waits, .spans])
    func scales(_ scale: Histogram.Scale) {
        #expect(scale.milliseconds == Set(scale.milliseconds).sorted())
    }
}

@Suite("Failures that are remembered")
struct RecentFailuresTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func pair(_ sender: String, _ recipient: String) throws -> RecentFailures.Pair {
        .init(
            sender: try #require(PeerName(rawValue: sender)), recipient: try #require(PeerName(rawValue: recipient)))
    }

    @Test("what comes soon after a failure between the same names is another try, once")
    func again() throws {
        var failures = RecentFailures(memory: .seconds(10), capacity: 4)
        #expect(try !failures.began(pair("alice", "bob"), now: start))
        try failures.failed(pair("alice", "bob"), now: start)
        #expect(try !failures.began(pair("bob", "alice"), now: start))
        #expect(try failures.began(pair("alice", "bob"), now: start + .seconds(9)))
        #expect(try !failures.began(pair("alice", "bob"), now: start + .seconds(9)))
        try failures.failed(pair("alice", "bob"), now: start)
        #expect(try !failures.began(pair("alice", "bob"), now: start + .seconds(10)))
    }

    @Test("no more are remembered than there is room for, and old ones make room")
    func capacity() throws {
        var failures = RecentFailures(memory: .seconds(10), capacity: 2)
        for name in ["a", "b", "c"] { try failures.failed(pair(name, "x"), now: start) }
        #expect(failures.count == 2)
        #expect(try !failures.began(pair("c", "x"), now: start))
        try failures.failed(pair("d", "x"), now: start + .seconds(11))
        #expect(try failures.began(pair("d", "x"), now: start + .seconds(12)))
        #expect(failures.count == 0)
    }
}
