// SPDX-License-Identifier: Apache-2.0

import Logging
import Testing

@testable import RelayServer

@Suite struct MemoryTests {
    @Test func readsSizes() {
        let expected: [(String, UInt64?)] = [
            ("1", 1), ("512M", 512 << 20), ("2g", 2 << 30), ("3K", 3072), ("1T", 1 << 40), ("0", nil), ("", nil),
            ("M", nil), ("-1", nil), ("+1", nil), ("1.5G", nil), ("1 G", nil), ("99999999T", nil),
            ("18446744073709551616", nil), ("\u{0663}M", nil),
        ]
        for (text, bytes) in expected { #expect(MemoryBudget(text)?.bytes == bytes, "\(text)") }
    }

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
        let watch = MemoryWatch(
            budget, resident: { figures.removeFirst() }, logger: logger, changed: { changes.append($0) }
        )
        for _ in 0..<7 { watch.look() }
        #expect(changes == [.high, .critical, .none])
        #expect(figures.isEmpty)
    }

    @Test func theSystemSaysHowMuchThereIs() throws {
        let resident = try #require(ProcessMemory.resident)
        #expect(resident > 1 << 20 && resident < 1 << 40)
        ProcessMemory.trim()
    }
}
