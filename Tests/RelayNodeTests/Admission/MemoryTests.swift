// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import Testing

@testable import RelayNode

@Suite struct MemoryTests {
    @Test func isMoreThanNothing() { #expect(MemoryBudget(bytes: 0) == nil) }

    @Test func refusesTransfersFirstAndConnectionsThen() throws {
        let budget = try #require(MemoryBudget(bytes: 1000))
        let expected: [(UInt64, MemoryPressure)] = [
            (0, .none), (949, .none), (950, .high), (979, .high), (980, .critical), (.max, .critical),
        ]
        for (resident, pressure) in expected { #expect(budget.pressure(resident: resident) == pressure) }
        #expect(MemoryBudget(bytes: .max)?.pressure(resident: 1 << 40) == MemoryPressure.none)
    }

    @Test func saysEachChangeOnceAndLooksAgainAfterTrimming() throws {
        let budget = try #require(MemoryBudget(bytes: 1000))
        // Two figures for each look that finds too much: before and after memory was given back.
        var figures: [UInt64?] = [100, 960, 940, 960, 955, 990, 985, nil, 990, 985, 10]
        var changes: [MemoryPressure] = []
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let means = MemoryWatch.Means(resident: { figures.removeFirst() }, trim: { $0() })
        let watch = MemoryWatch(budget, means: means, logger: logger, changed: { changes.append($0) })
        for _ in 0..<7 { watch.look() }
        #expect(changes == [.high, .critical, .none])
        #expect(figures.isEmpty)
    }

    @Test func whatAWaveLeavesBehindIsGivenBackButNotAllTheTime() {
        let mebibyte: UInt64 = 1 << 20
        // Seconds, bytes in memory then, and what is left where it is trimmed.
        let steps: [(at: Int64, resident: UInt64, trimmedTo: UInt64?)] = [
            (0, 40, nil), (1, 43, nil), (2, 43, nil), (3, 500, nil), (4, 500, 400), (5, 400, nil), (23, 400, nil),
            (24, 400, 399), (44, 399, nil), (63, 399, nil), (64, 399, 45), (84, 60, nil), (85, 60, 44), (105, 44, nil),
            (106, 45, nil), (107, 45, nil),
        ]
        var schedule = TrimSchedule()
        for step in steps {
            let now = NIODeadline.uptimeNanoseconds(1_000_000_000) + .seconds(step.at)
            #expect(
                schedule.isDue(resident: step.resident * mebibyte, at: now) == (step.trimmedTo != nil), "\(step)"
            )
            guard let left = step.trimmedTo else { continue }
            schedule.trimmed(from: step.resident * mebibyte, to: left * mebibyte, at: now)
        }
    }

    @Test func memoryIsGivenBackWithoutALimitToo() {
        var (figures, trims): ([UInt64?], Int) = ([40 << 20, 400 << 20, 400 << 20, 41 << 20, 41 << 20], 0)
        let means = MemoryWatch.Means(
            resident: { figures.removeFirst() },
            trim: { done in
                trims += 1
                done()
            }
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let watch = MemoryWatch(nil, means: means, logger: logger, changed: { _ in Issue.record("there is no limit") })
        for _ in 0..<4 { watch.look() }
        #expect(trims == 1 && figures.isEmpty)
    }

    @Test func theSystemSaysHowMuchThereIs() throws {
        let resident = try #require(ProcessMemory.resident)
        #expect(resident > 1 << 20 && resident < 1 << 40)
        ProcessMemory.trim()
    }
}
