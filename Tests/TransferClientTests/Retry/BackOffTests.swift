// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import TransferClient

@Suite struct BackOffTests {
    @Test func doublesUpToALimitAndBeginsAgain() {
        var generator = Constant(value: .max)
        var backOff = BackOff()
        let pauses = (0..<12).map { _ in backOff.next(using: &generator) }
        #expect(pauses[0] == TransferDefaults.firstPause)
        #expect(pauses[1] == .milliseconds(400))
        #expect(pauses[11] == TransferDefaults.longestPause)
        #expect(pauses == pauses.sorted())
        for _ in 0..<100 { #expect(backOff.next(using: &generator) == TransferDefaults.longestPause) }
        backOff.reset()
        #expect(backOff.next(using: &generator) == TransferDefaults.firstPause)
    }

    @Test func jitterMayTakeOffEverything() {
        var generator = SystemRandomNumberGenerator()
        var pauses: Set<TimeAmount> = []
        for _ in 0..<100 {
            var backOff = BackOff()
            pauses.insert(backOff.next(using: &generator))
        }
        #expect(pauses.allSatisfy { (.zero ... .milliseconds(200)).contains($0) })
        #expect(pauses.count > 1)
        // A zero would be thrown away for ever, in the search for an unbiased number.
        var least = Constant(value: 1 << 32)
        var backOff = BackOff()
        #expect((0..<20).allSatisfy { _ in backOff.next(using: &least) < .microseconds(1) })
    }
}
