// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Sealing

@Suite struct EpochTests {
    @Test func isTheMonthOfTheCalendar() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        for day in stride(from: 0, to: 80_000, by: 1) {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            guard day % 97 == 0 || calendar.component(.day, from: date) == 1 else { continue }
            let parts = calendar.dateComponents([.year, .month], from: date)
            let number = 12 * (parts.year ?? 0) + (parts.month ?? 0) - 1
            #expect(Epoch(milliseconds: UInt64(day) * 86_400_000).number == number)
            if day > 0, parts.day == 1 { #expect(Epoch(milliseconds: UInt64(day) * 86_400_000 - 1).number < number) }
        }
    }

    @Test func isShownAsPeopleWriteIt() {
        #expect(Epoch(milliseconds: 0).description == "1970-01")
        #expect(Epoch(milliseconds: Clock.november).description == "2026-11")
        #expect(Epoch(number: 12 * 2027 + 11).description == "2027-12")
        #expect(Epoch(milliseconds: .max).number > 0)
    }
}
