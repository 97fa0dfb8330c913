// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayClient

@Suite struct MessageBudgetTests {
    /// More than a fresh machine's uptime, less than any budget takes to fill.
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func allowsABurstAndThenOneAtATime() {
        var budget = MessageBudget()
        for _ in 0..<Defaults.messageBurst { #expect(budget.take(now: Self.start) == nil) }
        let next = Self.start + Defaults.messageInterval
        #expect(budget.take(now: Self.start) == next)
        #expect(budget.take(now: next - .nanoseconds(1)) == next)
        #expect(budget.take(now: next) == nil)
        #expect(budget.take(now: next) == next + Defaults.messageInterval)
    }

    @Test func isWholeAgainAfterAWhileAndNeverMoreThanThat() {
        var budget = MessageBudget()
        for _ in 0..<Defaults.messageBurst { _ = budget.take(now: Self.start) }
        let later = Self.start + .hours(1)
        for _ in 0..<Defaults.messageBurst { #expect(budget.take(now: later) == nil) }
        #expect(budget.take(now: later) != nil)
    }

    /// The relay's own rule: never more than 30 at once, and 100 a minute.
    @Test func staysBelowTheRelaysLimitForAnHour() {
        var budget = MessageBudget()
        var now = Self.start
        var sent: [NIODeadline] = []
        while now < Self.start + .hours(1) {
            if let next = budget.take(now: now) { now = next } else { sent.append(now) }
        }
        for index in sent.indices {
            let minute = sent[index...].prefix { $0 < sent[index] + .minutes(1) }
            #expect(minute.count <= 130 - 3)
            if minute.count < 60 { break }
        }
        #expect(sent.count > 5_000)
    }
}
