// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayClientProgram

struct ProgressLineTests {
    let line = ProgressLine(title: "report.pdf", bytes: 12_300_000, total: 45_600_000, rate: 3_200_000)

    @Test(arguments: [
        (100, "report.pdf  [#######---------------------]  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (60, "report.pdf  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (50, "report.pdf  26%  12.3 MB of 45.6 MB  3.20 MB/s"),
        (40, "report.pdf  26%  12.3 MB of 45.6 MB"),
        (30, "report.pdf  26%"),
        (10, "repo…  26%"),
        (4, "26%"),
    ])
    func theLeastImportantFieldsAreDroppedFirst(_ width: Int, _ text: String) {
        #expect(line.text(width: width) == text)
    }

    @Test(arguments: [
        (100, "sending  report.pdf  [#######---------------------]  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (79, "sending  report.pdf  [##-------]  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (78, "sending  report.pdf  [##------]  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (77, "report.pdf  [####------------]  26%  12.3 MB of 45.6 MB  3.20 MB/s  0:10 left"),
        (40, "report.pdf  26%  12.3 MB of 45.6 MB"),
    ])
    func theActivityIsShownWhereThereIsRoom(_ width: Int, _ text: String) {
        var line = line
        line.activity = "sending"
        #expect(line.text(width: width) == text)
    }

    @Test func theActivityNeedsNoTotalAndShortensNoTitle() {
        let title = String(repeating: "x", count: 60)
        let unknown = ProgressLine(title: "stdin", activity: "receiving", bytes: 1_500, rate: 1_000)
        #expect(unknown.text(width: 79) == "receiving  stdin  1.50 kB  1.00 kB/s")
        let long = ProgressLine(title: title, activity: "receiving", bytes: 1_500, total: 3_000)
        #expect(long.text(width: 85).hasPrefix("xxx"))
        #expect(long.text(width: 120).hasPrefix("receiving  xxx"))
    }

    @Test(arguments: 1...200) func everyWidthIsKept(_ width: Int) {
        let lines = [
            line,
            ProgressLine(title: String(repeating: "日本", count: 50), bytes: .max, total: .max, rate: .max),
            ProgressLine(title: "x", bytes: .max, total: 1, rate: 1),
            ProgressLine(title: "report.pdf", activity: "sending", bytes: 5, total: 9, rate: 1),
            ProgressLine(title: "", activity: "receiving", bytes: 5, total: nil, rate: nil),
            ProgressLine(title: String(repeating: "日本", count: 50), activity: "sending", bytes: .max, total: .max),
            ProgressLine(title: "unknown total", bytes: 5, total: nil, rate: nil),
            ProgressLine(title: "report.pdf", state: "waiting for bob"),
            ProgressLine(title: "", bytes: 0, total: 0, rate: 0),
        ]
        for line in lines { #expect(TextWidth.columns(of: line.text(width: width)) <= width) }
    }

    @Test func anUnknownTotalHasNeitherPercentNorBarNorTime() {
        let text = ProgressLine(title: "stdin", bytes: 1_500, total: nil, rate: 1_000).text(width: 100)
        #expect(text == "stdin  1.50 kB  1.00 kB/s")
    }

    @Test func hundredPercentIsSaidOnlyWhenItIsAll() {
        #expect(ProgressLine(title: "a", bytes: 999, total: 1_000).text(width: 79).contains("99%"))
        #expect(ProgressLine(title: "a", bytes: 1_000, total: 1_000).text(width: 79).contains("100%"))
        #expect(ProgressLine(title: "a", bytes: 0, total: 0).text(width: 79).contains("100%"))
        #expect(ProgressLine(title: "a", bytes: .max - 1, total: .max).text(width: 79).contains("%"))
    }

    @Test func aStateStandsInFront() {
        #expect(ProgressLine(title: "a.txt", state: "ringing bob").text(width: 79) == "ringing bob  a.txt")
    }

    @Test(arguments: [(0, "0:00"), (9, "0:09"), (754, "12:34"), (3_723, "1:02:03"), (359_999, "99:59:59")])
    func durations(_ seconds: UInt64, _ text: String) { #expect(ProgressLine.duration(seconds) == text) }

    @Test func durationsThatAreTooLongAreLeftOut() { #expect(ProgressLine.duration(360_000) == nil) }

    @Test(arguments: [
        (0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (1_005, "1.01 kB"), (9_994, "9.99 kB"), (12_345, "12.3 kB"),
        (999_499, "999 kB"), (999_500, "1.00 MB"), (45_600_000, "45.6 MB"), (2_147_483_648, "2.15 GB"),
        (UInt64.max, "18.4 EB"),
    ])
    func bytes(_ count: UInt64, _ text: String) { #expect(ByteFormat.string(count) == text) }

    @Test(arguments: [9_995, 9_999, 99_950, 99_999, 999_999, 9_999_999, 99_999_999_999])
    func roundingNeverAddsADigit(_ count: UInt64) {
        let digits = ByteFormat.string(count).prefix { character in character != " " }
        #expect(digits.filter(\.isWholeNumber).count == 3, "\(digits)")
    }
}

struct RateEstimatorTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func at(_ milliseconds: Int64) -> NIODeadline { start + .milliseconds(milliseconds) }

    @Test func nothingIsSaidTooEarly() {
        var rate = RateEstimator()
        #expect(rate.bytesPerSecond(now: start) == nil)
        rate.record(bytes: 0, now: start)
        #expect(rate.bytesPerSecond(now: at(50)) == nil)
    }

    @Test func aSteadyStreamHasItsRate() {
        var rate = RateEstimator()
        for step in 0...1_000 { rate.record(bytes: UInt64(step) * 10_000, now: at(Int64(step) * 10)) }
        #expect(rate.bytesPerSecond(now: at(10_000)) == 1_000_000)
    }

    @Test func aStallFallsToZero() {
        var rate = RateEstimator()
        for step in 0...100 { rate.record(bytes: UInt64(step) * 10_000, now: at(Int64(step) * 10)) }
        let soon = rate.bytesPerSecond(now: at(2_000))
        #expect(soon == 500_000)
        #expect(rate.bytesPerSecond(now: at(60_000)) == 0)
    }

    @Test func aNewBeginningIsNoNegativeRate() {
        var rate = RateEstimator()
        rate.record(bytes: .max, now: start)
        rate.record(bytes: 0, now: at(1_000))
        rate.record(bytes: 1_000, now: at(2_000))
        #expect(rate.bytesPerSecond(now: at(2_000)) == 1_000)
    }

    @Test func aClockThatStandsStillOrGoesBackDoesNoHarm() {
        var rate = RateEstimator()
        rate.record(bytes: 5, now: at(1_000))
        rate.record(bytes: 500, now: at(0))
        rate.record(bytes: 900, now: at(0))
        #expect(rate.bytesPerSecond(now: at(0)) == nil)
    }
}
