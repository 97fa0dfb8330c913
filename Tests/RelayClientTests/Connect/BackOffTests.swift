// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayClient

@Suite struct BackOffTests {
    /// Always the same number: 0 gives the shortest pauses, the largest gives the longest.
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
        var generator = Constant(value: 0)
        var backOff = BackOff()
        #expect(backOff.next(using: &generator) == .milliseconds(50))
    }
}
