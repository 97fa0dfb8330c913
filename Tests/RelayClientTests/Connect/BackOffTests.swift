// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayClient

@Suite struct BackOffTests {
    /// Always the same number; the largest gives the longest pauses.
    private struct Constant: RandomNumberGenerator {
        var value: UInt64
        mutating func next() -> UInt64 { value }
    }

    @Test func doublesUpToALimitAndBeginsAgain() {
        var generator = Constant(value: .max)
        var backOff = BackOff()
        let pauses = (0..<12).map { _ in backOff.next(using: &generator) }
        #expect(pauses[0] == Defaults.firstPause)
        #expect(pauses[1] == .milliseconds(200))
        #expect(pauses[11] == Defaults.longestPause)
        #expect(pauses == pauses.sorted())
        for _ in 0..<100 { #expect(backOff.next(using: &generator) == Defaults.longestPause) }
        backOff.reset()
        #expect(backOff.next(using: &generator) == Defaults.firstPause)
    }

    @Test func jitterTakesHalfOffAtMost() {
        var generator = SystemRandomNumberGenerator()
        var pauses: Set<TimeAmount> = []
        for _ in 0..<100 {
            var backOff = BackOff()
            pauses.insert(backOff.next(using: &generator))
        }
        #expect(pauses.allSatisfy { (.milliseconds(50) ... .milliseconds(100)).contains($0) })
        #expect(pauses.count > 1)
    }
}
