// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import TransferClient

@Suite struct OfferMemoryTests {
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
        _ = memory.rememberAcceptance(key, label, problem)
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
        _ = memory.finished(key, summary)
        #expect(memory.recall(key, name: "a", size: 7) == .finished(summary))
        #expect(memory.recall(key, name: "a", size: nil) == .finished(summary))
        #expect(memory.recall(key, name: "a", size: 8) == nil)
        memory.forget(key)
        #expect(memory.recall(key, name: "a", size: 7) == nil)
    }

    @Test func anInterruptedOfferThatMakesRoomIsHandedBack() {
        var memory = OfferMemory()
        #expect(memory.rememberAcceptance(key, label, problem) == nil)
        // The same one again makes no room.
        #expect(memory.rememberAcceptance(key, label, problem) == nil)
        #expect(memory.finished(other, summary) == nil)
        for _ in 2..<TransferDefaults.mostRememberedOffers {
            #expect(memory.finished(OfferMemory.Key(sender: .random(), identity: .random()), summary) == nil)
        }
        let forgotten = memory.rememberAcceptance(
            OfferMemory.Key(sender: .random(), identity: .random()), label, problem)
        #expect(forgotten == OfferMemory.Interrupted(label: label, problem: problem))
        #expect(memory.recall(key, name: "a", size: 7) == nil)
        #expect(memory.recall(other, name: "a", size: 7) != nil)
        // Nothing is lost with one that had come whole.
        #expect(memory.finished(key, summary) == nil)
        #expect(memory.recall(other, name: "a", size: 7) == nil)
    }

    @Test func theOldestEntriesGoFirst() {
        var memory = OfferMemory()
        _ = memory.finished(key, summary)
        _ = memory.finished(other, summary)
        for _ in 1..<TransferDefaults.mostRememberedOffers {
            _ = memory.finished(OfferMemory.Key(sender: .random(), identity: .random()), summary)
        }
        #expect(memory.recall(key, name: "a", size: 7) == nil)
        #expect(memory.recall(other, name: "a", size: 7) != nil)
        _ = memory.finished(OfferMemory.Key(sender: .random(), identity: .random()), summary)
        #expect(memory.recall(other, name: "a", size: 7) == nil)
    }
}
