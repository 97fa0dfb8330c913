// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import TransferBroker

@Suite struct DeadlineQueueTests {
    private func at(_ seconds: Int) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds) * 1_000_000_000) }

    @Test func keysComeInTheOrderOfTheirDeadlines() {
        var queue = DeadlineQueue<Int>()
        let seconds = (0..<500).shuffled()
        for second in seconds { queue.insert(second, at: at(second)) }
        #expect(queue.next == at(0))
        var popped: [Int] = []
        while let entry = queue.popDue(now: at(249)) { popped.append(entry.key) }
        #expect(popped == Array(0..<250))
        #expect(queue.popDue(now: at(249)) == nil)
        while let entry = queue.popDue(now: at(1000)) { popped.append(entry.key) }
        #expect(popped == Array(0..<500))
        #expect(queue.next == nil)
    }

    @Test func compactingKeepsTheOrder() {
        var queue = DeadlineQueue<Int>()
        for second in (0..<300).shuffled() { queue.insert(second, at: at(second)) }
        queue.compact { $0.key.isMultiple(of: 3) }
        #expect(queue.count == 100)
        var popped: [Int] = []
        while let entry = queue.popDue(now: at(1000)) { popped.append(entry.key) }
        #expect(popped == Array(stride(from: 0, to: 300, by: 3)))
    }
}
