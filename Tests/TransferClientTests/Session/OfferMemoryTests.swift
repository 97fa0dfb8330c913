// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct OfferMemoryTests {
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let key: OfferMemory.Key
    private let other: OfferMemory.Key
    private let label: TransferLabel
    private let summary = ContentSummary(size: 7, digest: [UInt8](repeating: 1, count: 32))
    private let problem = OfferMemory.Problem(code: "receiver_gone", message: "cut", status: .unreachable)

    init() throws {
        let identity = OfferIdentity.random()
        key = OfferMemory.Key(sender: .random(), identity: identity)
        other = OfferMemory.Key(sender: .random(), identity: identity)
        label = TransferLabel(
            transfer: .random(), direction: .receive, peer: try #require(PeerName(rawValue: "alice")), name: "a",
            size: 7
        )
    }

    @Test func onlyTheSameOfferOfTheSameSenderIsRecalled() {
        var memory = OfferMemory()
        #expect(memory.recall(key, name: "a", size: 7) == nil)
        memory.rememberAcceptance(key, label, problem, now: begin)
        guard case .accepted(let entry)? = memory.recall(key, name: "a", size: 7) else {
            Issue.record("forgotten")
            return
        }
        #expect(entry.label == label)
        #expect(memory.recall(other, name: "a", size: 7) == nil)
        // Consent to one thing is none to another.
        #expect(memory.recall(key, name: "b", size: 7) == nil)
        #expect(memory.recall(key, name: "a", size: 8) == nil)
        #expect(memory.recall(key, name: "a", size: nil) == nil)
        memory.finished(key, summary)
        #expect(memory.recall(key, name: "a", size: 7) == .finished(summary))
        #expect(memory.recall(key, name: "a", size: nil) == .finished(summary))
        #expect(memory.recall(key, name: "a", size: 8) == nil)
        memory.forget(key)
        #expect(memory.recall(key, name: "a", size: 7) == nil)
    }

    @Test func interruptedOffersExpireAndFinishedOnesDoNot() {
        var memory = OfferMemory()
        memory.finished(other, summary)
        #expect(memory.deadline == nil)
        memory.rememberAcceptance(key, label, problem, now: begin)
        let end = begin + TransferDefaults.interruptedOfferLifetime
        #expect(memory.deadline == end)
        #expect(memory.expire(now: end - .nanoseconds(1)).isEmpty)
        #expect(memory.expire(now: end).map(\.problem) == [problem])
        #expect(memory.expire(now: end).isEmpty)
        #expect(memory.deadline == nil)
        #expect(memory.recall(key, name: "a", size: 7) == nil)
        #expect(memory.recall(other, name: "a", size: 7) != nil)
    }

    @Test func theOldestEntriesGoFirst() {
        var memory = OfferMemory()
        memory.finished(key, summary)
        memory.finished(other, summary)
        for _ in 1..<TransferDefaults.mostRememberedOffers {
            memory.finished(OfferMemory.Key(sender: .random(), identity: .random()), summary)
        }
        #expect(memory.recall(key, name: "a", size: 7) == nil)
        #expect(memory.recall(other, name: "a", size: 7) != nil)
        memory.finished(OfferMemory.Key(sender: .random(), identity: .random()), summary)
        #expect(memory.recall(other, name: "a", size: 7) == nil)
    }
}
