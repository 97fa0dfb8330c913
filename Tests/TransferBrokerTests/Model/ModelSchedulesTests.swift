// SPDX-License-Identifier: Apache-2.0

import Testing

/// `scripts/prove model` in small.
struct ModelSchedulesTests {
    @Test func noRandomScheduleBreaksAnInvariant() {
        let seed = UInt64.random(in: 0..<1 << 32)
        var schedules = ModelSchedules(seed: seed)
        schedules.run(0..<1_000)
        if let failure = schedules.failure { Issue.record("seed \(seed), \(failure)") }
        #expect(schedules.schedules == 1_000)
    }

    @Test func aScheduleIsTheSameEachTime() {
        var first = ModelSchedules(seed: 1)
        var again = ModelSchedules(seed: 1)
        first.run(0..<50)
        again.run(0..<50)
        #expect(first.steps == again.steps)
        #expect(first.states == again.states)
    }

    @Test(arguments: ModelFault.allCases) func aPlantedFaultIsFound(_ fault: ModelFault) {
        var schedules = ModelSchedules(seed: 1, fault: fault)
        schedules.run(0..<5_000)
        #expect(schedules.failure != nil)
    }
}
