// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import Testing

@Suite struct PaceTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let limits = Pace.Limits(perSecond: 100, burst: 30)

    @Test func aPaceRefillsAtItsRate() {
        var pace = Pace(now: start)
        // One each millisecond for three seconds: the burst, and then 100 a second.
        let taken = (0..<3000).count { pace.take(1, of: limits, now: start + .milliseconds(Int64($0))) }
        #expect((328...331).contains(taken))
    }

    @Test func aPauseRefillsNoMoreThanTheBurst() {
        var pace = Pace(now: start)
        let taken = (0..<50).count { _ in pace.take(1, of: limits, now: start + .hours(5)) }
        #expect(taken == 30)
    }

    @Test func moreThanTheBurstIsNeverTakenAtOnce() {
        var pace = Pace(now: start)
        let taken = [31, 30, 1].map { pace.take($0, of: limits, now: start) }
        #expect(taken == [false, true, false])
    }

    @Test func waitsFollowOneAnother() {
        var pace = Pace(now: start)
        let waits = [30, 1, 1, 1, 10].map { pace.reserve($0, of: limits, longest: .seconds(5), now: start) }
        #expect(waits == [0, 10, 20, 30, 130].map { .milliseconds($0) })
        #expect(pace.isFullAt == start + .milliseconds(430))
    }

    @Test func noWaitIsLongerThanTheLongest() {
        var pace = Pace(now: start)
        for _ in 0..<10_000 { _ = pace.reserve(1, of: limits, longest: .seconds(5), now: start) }
        let wait = pace.reserve(1000, of: limits, longest: .seconds(5), now: start)
        let later = pace.reserve(1, of: limits, longest: .seconds(5), now: start + .seconds(6))
        #expect(wait == .seconds(5) && later == .zero)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 1_000_000, .max])
    func noFigureOverflows(figure: Int64) {
        let limits = Pace.Limits(perSecond: figure, burst: figure)
        var pace = Pace(now: start)
        _ = pace.take(figure, of: limits, now: start)
        _ = pace.reserve(figure, of: limits, longest: .hours(1), now: start)
        #expect(pace.isFullAt >= start)
    }
}
