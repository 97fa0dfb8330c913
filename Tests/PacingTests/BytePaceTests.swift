// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import Testing

@Suite struct BytePaceTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func bytesGoAtTheRate() {
        var pace = BytePace(now: start)
        var now = start
        // Ten megabytes at one a second, with one at once: nine seconds.
        for _ in 0..<160 {
            now = now + pace.spend(65_536, at: 1 << 20, burst: 1 << 20, longest: .seconds(8), now: now)
        }
        #expect(now - start == .seconds(9))
    }

    @Test func noWaitIsLongerThanTheLongest() {
        var pace = BytePace(now: start)
        #expect(pace.spend(.max, at: 1, burst: 1, longest: .seconds(8), now: start) == .seconds(8))
        #expect(pace.spend(.max, at: .max, burst: .max, longest: .seconds(8), now: start) <= .seconds(8))
        #expect(pace.spend(0, at: 1 << 20, burst: 1, longest: .seconds(8), now: start + .hours(2)) == .zero)
    }
}
