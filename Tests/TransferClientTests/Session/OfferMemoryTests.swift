// SPDX-License-Identifier: Apache-2.0

import Sealing
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct OfferMemoryTests {
    private let key: OfferMemory.Key
    private let other: OfferMemory.Key
    private let label: TransferLabel
    private let stored = FinishedTransfer(
        delivered: DeliveredSummary(manifest: [UInt8](repeating: 1, count: 32), entries: 2, bytes: 7), files: 1
    )
    private let problem = OfferMemory.Problem(code: "receiver_gone", message: "cut", status: .unreachable)

    private func summary(_ name: String, _ size: UInt64?) -> OfferSummary {
        OfferSummary(names: [name], entries: 1, bytes: size, kind: .file)
    }

    init() throws {
        let transfer = CarriedTransfer.random()
        key = OfferMemory.Key(sender: .random(), transfer: transfer)
        other = OfferMemory.Key(sender: .random(), transfer: transfer)
        label = TransferLabel(
            transfer: .random(), direction: .receive, peer: try #require(PeerName(rawValue: "alice")),
            summary: OfferSummary(names: ["a"], entries: 1, bytes: 7, kind: .file)
        )
    }

    @Test func onlyTheSameOfferOfTheSameSenderIsRecalled() {
        var memory = OfferMemory()
        #expect(memory.recall(key, summary("a", 7)) == nil)
        _ = memory.rememberAcceptance(key, label, problem)
        guard case .accepted(let entry)? = memory.recall(key, summary("a", 7)) else {
            Issue.record("forgotten")
            return
        }
        #expect(entry.label == label)
        #expect(memory.recall(other, summary("a", 7)) == nil)
        let another = OfferMemory.Key(sender: key.sender, transfer: .random())
        #expect(memory.recall(another, summary("a", 7)) == nil)
        // Consent to one thing is none to another.
        #expect(memory.recall(key, summary("b", 7)) == nil)
        #expect(memory.recall(key, summary("a", 8)) == nil)
        #expect(memory.recall(key, summary("a", nil)) == nil)
        _ = memory.finished(key, stored)
        #expect(memory.recall(key, summary("a", 7)) == .finished(stored))
        #expect(memory.recall(key, summary("a", nil)) == .finished(stored))
        #expect(memory.recall(key, summary("a", 8)) == nil)
        memory.forget(key)
        #expect(memory.recall(key, summary("a", 7)) == nil)
    }

    /// What the sender says has changed comes again as another transfer.
    @Test func whatHasChangedIsRecalledByWhatItIsCalledAndHowMuchItIs() {
        let mebibyte = TransferDefaults.unaskedGrowth.bytes
        func restarted(_ before: UInt64?, _ now: OfferSummary, _ code: String = "source_changed") -> Bool {
            var memory = OfferMemory()
            let problem = OfferMemory.Problem(code: code, message: "changed", status: .inputOutput)
            _ = memory.rememberAcceptance(key, label, problem, accepted: summary("a", before))
            #expect(memory.restarted(by: .random(), now) == nil)
            return memory.restarted(by: key.sender, now) == key
        }
        for (before, now) in [(7, 0), (7, 7), (7, 7 + mebibyte), (100 * mebibyte, 110 * mebibyte)] as [(UInt64, UInt64)]
        {
            #expect(restarted(before, summary("a", now)), "\(before) \(now)")
        }
        for (before, now) in [
            (7, 8 + mebibyte), (100 * mebibyte, 110 * mebibyte + 1), (.max, nil), (nil, 7), (0, .max),
        ] as [(UInt64?, UInt64?)] { #expect(!restarted(before, summary("a", now)), "\(before ?? 0) \(now ?? 0)") }
        #expect(restarted(nil, summary("a", nil)) && restarted(.max, summary("a", .max)))
        #expect(!restarted(7, summary("b", 7)))
        #expect(!restarted(7, OfferSummary(names: ["a"], entries: 1, bytes: 7, kind: .folder)))
        #expect(!restarted(7, OfferSummary(names: ["a"], entries: 12, bytes: 7, kind: .file)))
        // Consent to go on is none to something else.
        #expect(!restarted(7, summary("a", 7), "receiver_gone"))
    }

    /// A file system may find that it needs less room for the same.
    @Test func anOfferWithOtherHolesIsTheSame() {
        var memory = OfferMemory()
        _ = memory.rememberAcceptance(key, label, problem)
        var sparse = label.summary
        sparse.holes = 3
        #expect(memory.recall(key, sparse) == memory.recall(key, label.summary) && memory.recall(key, sparse) != nil)
        sparse.bytes = 8
        #expect(memory.recall(key, sparse) == nil)
    }

    @Test func anInterruptedOfferThatMakesRoomIsHandedBack() {
        var memory = OfferMemory()
        #expect(memory.rememberAcceptance(key, label, problem) == nil)
        // The same one again makes no room.
        #expect(memory.rememberAcceptance(key, label, problem) == nil)
        #expect(memory.finished(other, stored) == nil)
        for _ in 2..<TransferDefaults.mostRememberedOffers {
            #expect(memory.finished(OfferMemory.Key(sender: .random(), transfer: .random()), stored) == nil)
        }
        let forgotten = memory.rememberAcceptance(
            OfferMemory.Key(sender: .random(), transfer: .random()), label, problem)
        #expect(forgotten == OfferMemory.Interrupted(label: label, problem: problem, accepted: label.summary))
        #expect(memory.recall(key, summary("a", 7)) == nil)
        #expect(memory.recall(other, summary("a", 7)) != nil)
        // Nothing is lost with one that had come whole.
        #expect(memory.finished(key, stored) == nil)
        #expect(memory.recall(other, summary("a", 7)) == nil)
    }

    @Test func theOldestEntriesGoFirst() {
        var memory = OfferMemory()
        _ = memory.finished(key, stored)
        _ = memory.finished(other, stored)
        for _ in 1..<TransferDefaults.mostRememberedOffers {
            _ = memory.finished(OfferMemory.Key(sender: .random(), transfer: .random()), stored)
        }
        #expect(memory.recall(key, summary("a", 7)) == nil)
        #expect(memory.recall(other, summary("a", 7)) != nil)
        _ = memory.finished(OfferMemory.Key(sender: .random(), transfer: .random()), stored)
        #expect(memory.recall(other, summary("a", 7)) == nil)
    }
}
