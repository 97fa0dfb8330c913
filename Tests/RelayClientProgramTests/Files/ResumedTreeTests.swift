// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
import NIOCore
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// Trees whose receiver is ended in between, by a kill or a power cut, and whose parts others got at.
struct ResumedTreeTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    /// The disk is not waited for here.
    static var calls: FileCalls {
        var calls = FileCalls()
        calls.syncAll = { _ in 0 }
        calls.syncData = { _ in 0 }
        calls.syncFile = { _ in 0 }
        calls.syncFolder = { _ in 0 }
        return calls
    }

    private func parts(_ options: ReceivedOptions = ReceivedOptions(), boot: String = "one") -> ReceivedParts {
        ReceivedParts(
            directory: folder.directory, options: options, calls: Self.calls,
            boot: SystemBoot(identifier: Array(boot.utf8))
        )
    }

    private func hidden(_ tree: SentTree) -> String { folder.path + "/" + PartFolder.name(of: tree.transfer) }

    private func end(
        _ tree: SentTree, _ sink: ReceivedTree, keepsLinks: Bool = false, comment: Comment? = nil
    ) throws {
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole, comment)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree, keepsLinks: keepsLinks), comment)
        #expect(try !folder.listing().contains { $0.hasPrefix(".relay-") }, comment)
    }

    /// After a kill, nothing that was written is sent again.
    @Test(arguments: SeededGenerator.seeds(20)) func aKilledReceiverGoesOnWhereItWas(_ seed: UInt64) throws {
        let keeps = seed.isMultiple(of: 2)
        let tree = try SentTree(seed: seed, hasLinks: true)
        var generator = SeededGenerator(seed: seed)
        let attempt = CarryingAttempt(tree: tree, piece: 1_000, checkpoints: 50)
        var before = TransferPosition.beginning
        for _ in 0..<6 {
            let sink = try parts(ReceivedOptions(keepsMetadata: keeps)).open(try tree.offer)
            #expect(sink.position == before, "seed \(seed)")
            #expect(sink.receivedBytes == bytes(tree, before), "seed \(seed)")
            try attempt.carry(into: sink, atMost: .random(in: 0...60_000, using: &generator))
            before = sink.position
            sink.keep()
        }
        let sink = try parts(ReceivedOptions(keepsMetadata: keeps)).open(try tree.offer)
        #expect(sink.position == before, "seed \(seed)")
        try end(tree, sink, keepsLinks: keeps)
    }

    private func bytes(_ tree: SentTree, _ position: TransferPosition) -> UInt64 {
        UInt64(tree.files.prefix(Int(position.file)).map(\.count).reduce(0, +)) + position.offset
    }

    /// The same sink takes one attempt after the other.
    @Test(arguments: SeededGenerator.seeds(10)) func attemptsThatBreakGoOnWhereTheyWere(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed)
        var generator = SeededGenerator(seed: seed)
        let sink = try parts().open(try tree.offer)
        for _ in 0..<8 {
            let before = sink.position
            let outcome = try CarryingAttempt(tree: tree, piece: 3_000)
                .carry(into: sink, atMost: .random(in: 0...60_000, using: &generator))
            #expect(outcome.acceptance.position == before, "seed \(seed)")
        }
        try end(tree, sink)
    }

    /// After another boot, only what the journal says is there.
    @Test(arguments: SeededGenerator.seeds(20)) func afterAnotherBootTheJournalCounts(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed, hasLinks: true)
        var generator = SeededGenerator(seed: seed)
        var durable = TransferPosition.beginning
        for boot in 0..<6 {
            let sink = try parts(boot: "\(boot)").open(try tree.offer)
            #expect(sink.position == durable, "seed \(seed)")
            let first = Int.random(in: 0...40_000, using: &generator)
            try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: .max).carry(into: sink, atMost: first)
            try sink.checkpoint(now: .now(), isForced: true)
            durable = sink.position
            try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: .max).carry(into: sink, atMost: 30_000)
            sink.keep()
            // Once more within the same boot.
            guard Bool.random(using: &generator) else { continue }
            let again = try parts(boot: "\(boot)").open(try tree.offer)
            #expect(again.position.file >= durable.file)
            again.keep()
        }
        try end(tree, try parts(boot: "last").open(try tree.offer))
    }

    @Test func whatIsStoredButNotConfirmedIsNotStoredTwice() throws {
        let tree = try SentTree(seed: 7)
        var sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let stored = try sink.finish()
        sink.discard()
        #expect(parts().unfinished().map(\.isFinished) == [true])
        for boot in ["one", "two"] {
            sink = try parts(boot: boot).open(try tree.offer)
            #expect(sink.position == TransferPosition(file: UInt64(tree.files.count), offset: 0))
            #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
            let again = try sink.finish()
            #expect(again.summary == stored.summary && again.files == stored.files)
            #expect(again.contents.map(\.path) == stored.contents.map(\.path))
            #expect(again.contents.allSatisfy { content in content.currentPath() == content.path })
            sink.keep()
        }
        try end(tree, try parts().open(try tree.offer))
    }

    /// Killed between two names.
    @Test(arguments: 0..<6) func aKillWhileNamesAreGivenStoresNothingTwice(_ names: Int) throws {
        var tree = SentTree()
        for name in ["a", "b", "c"] { try tree.add(name, content: Array(name.utf8)) }
        let number = try tree.add("d")
        try tree.add("e", in: number, content: [1])
        try tree.add("f", content: [2])
        let killing = Killing(after: names)
        var calls = Self.calls
        let rename = calls.rename
        calls.rename = { folder, from, target, to in killing.isDead ? -1 : rename(folder, from, target, to) }
        calls.link = { _, _, _, _ in -1 }
        calls.replace = { _, _, _, _ in -1 }
        calls.write = { [write = calls.write] file, bytes, offset in
            if killing.hasBeenKilled {
                errno = EIO
                return -1
            }
            return write(file, bytes, offset)
        }
        let sink = try ReceivedParts(
            directory: folder.directory, options: ReceivedOptions(), calls: calls, boot: SystemBoot(identifier: [1])
        ).open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        if names < 5 { #expect(failure { _ = try sink.finish() } != nil) } else { _ = try sink.finish() }
        sink.discard()
        let again = try parts().open(try tree.offer)
        #expect(again.position.file == 5)
        #expect(try CarryingAttempt(tree: tree).carry(into: again).isWhole)
        let stored = try again.finish()
        #expect(stored.contents.compactMap { $0.currentPath() }.count == 5)
        again.confirmed()
        #expect(try folder.listing() == ["a", "b", "c", "d", "f"])
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
    }

    /// Counts names; from one on, the process is dead.
    private final class Killing: Sendable {
        private let left: Mutex<Int>

        init(after names: Int) { left = Mutex(names) }

        var hasBeenKilled: Bool { left.withLock { $0 < 0 } }
        var isDead: Bool {
            left.withLock { left in
                left -= 1
                return left < 0
            }
        }
    }

    // MARK: - Damage

    /// A tree in the middle of which the receiver was ended, and its journal.
    private func interrupted() throws -> (tree: SentTree, journal: [UInt8]) {
        var tree = SentTree()
        let top = try tree.add("top")
        var generator = SeededGenerator(seed: 5)
        for name in ["a", "b", "c"] { try tree.add(name, in: top, content: generator.bytes(6_000)) }
        try tree.add("pipe", in: top, content: generator.bytes(500), isKnown: false)
        try tree.add("z", in: top, content: generator.bytes(6_000))
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: 4).carry(into: sink, atMost: 21_000)
        #expect(sink.position.file == 4 && sink.position.offset > 0)
        sink.keep()
        return (tree, [UInt8](try Data(contentsOf: URL(fileURLWithPath: hidden(tree) + "/journal"))))
    }

    /// Goes on with each of these journals, in the same boot and in another.
    private func check(_ tree: SentTree, _ journals: [[UInt8]], _ seed: UInt64? = nil) throws {
        let saved = folder.temporary.file("saved")
        try FileManager.default.copyItem(atPath: hidden(tree), toPath: saved)
        for (index, journal) in journals.enumerated() {
            for name in try folder.listing() {
                try FileManager.default.removeItem(atPath: folder.path + "/" + name)
            }
            try FileManager.default.copyItem(atPath: saved, toPath: hidden(tree))
            try Data(journal).write(to: URL(fileURLWithPath: hidden(tree) + "/journal"))
            let sink = try parts(boot: index.isMultiple(of: 2) ? "one" : "two").open(try tree.offer)
            try end(tree, sink, comment: "journal \(index), seed \(seed ?? 0)")
        }
    }

    /// `JournalTests` has every byte; here, every third one goes all the way.
    @Test func aJournalCutAnywhereIsNeverWrong() throws {
        let (tree, journal) = try interrupted()
        try check(tree, stride(from: 0, through: journal.count, by: 3).map { Array(journal.prefix($0)) })
    }

    @Test(arguments: SeededGenerator.seeds(1)) func aJournalAlteredAnywhereIsNeverWrong(_ seed: UInt64) throws {
        let (tree, journal) = try interrupted()
        var generator = SeededGenerator(seed: seed)
        let altered = stride(from: 1, to: journal.count, by: 3).map { index in
            var altered = journal
            altered[index] ^= UInt8.random(in: 1 ... .max, using: &generator)
            return altered
        }
        try check(tree, altered, seed)
    }

    @Test func aManifestThatWasAlteredBeginsAgain() throws {
        let (tree, _) = try interrupted()
        let path = hidden(tree) + "/manifest"
        var manifest = try Data(contentsOf: URL(fileURLWithPath: path))
        manifest[20] ^= 1
        try manifest.write(to: URL(fileURLWithPath: path))
        let sink = try parts().open(try tree.offer)
        #expect(sink.position == .beginning && sink.manifest == nil)
        try end(tree, sink)
    }

    /// What was deleted, cut or grew since is sent again.
    @Test(arguments: ["one", "two"], [0, 5_000, 7_000]) func aPartThatWasChangedIsSentAgain(
        _ boot: String, _ length: Int
    ) throws {
        let (tree, _) = try interrupted()
        let part = hidden(tree) + "/content/top/b"
        if length == 0 { #expect(unlink(part) == 0) } else { #expect(truncate(part, length) == 0) }
        let sink = try parts(boot: boot).open(try tree.offer)
        #expect(sink.position == TransferPosition(file: 1, offset: 0))
        sink.keep()
        // Neither does a power cut bring back what was said before.
        let again = try parts(boot: "three").open(try tree.offer)
        #expect(again.position == TransferPosition(file: 1, offset: 0))
        try end(tree, again)
    }

    @Test func anEditOfAPartIsSeenByTheSender() throws {
        var content = SeededGenerator(seed: 1)
        let tree = try SentTree.file("a", content.bytes(2_000_000))
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree, piece: 65_536).carry(into: sink, atMost: 1_500_000)
        sink.keep()
        let honest = try parts().open(try tree.offer)
        let samples = try honest.acceptance().samples
        #expect((8...16).contains(samples.count) && Set(samples).count == samples.count)
        #expect(tree.agrees(samples))
        honest.keep()
        let part = hidden(tree) + "/content/a"
        try Data(count: 1_499_000).write(to: URL(fileURLWithPath: part))
        let edited = try parts().open(try tree.offer)
        #expect(!tree.agrees(try edited.acceptance().samples))
    }

    // MARK: - Whose it is

    @Test func partsOfAnotherProfileStayAndAreNotUsed() throws {
        let (tree, _) = try interrupted()
        let offer = try tree.offer
        let other = try SentTree.file().offer
        for stranger in [
            OfferedTransfer(
                transfer: offer.transfer, sender: offer.sender, receiver: other.receiver, summary: offer.summary
            ),
            OfferedTransfer(
                transfer: offer.transfer, sender: other.sender, receiver: offer.receiver, summary: offer.summary
            ),
        ] {
            let sink = try parts().open(stranger)
            #expect(sink.position == .beginning)
            sink.discard()
        }
        #expect(parts().hasAccepted(offer))
        #expect(!parts().hasAccepted(offer.summary, of: offer.transfer, from: other.sender.identity))
        #expect(!parts().hasAccepted(offer.summary, of: other.transfer, from: offer.sender.identity))
        try end(tree, try parts().open(offer))
        #expect(!parts().hasAccepted(offer))
    }

    /// Between fork and exec, a program that is being started has everything open that this process has.
    @Test func partsThatWereLetGoAreNotInUseByAProgramThatIsBeingStarted() throws {
        let receiving = try folder.directory.folder()
        var part = try PartFolder.open(".relay-part", in: receiving)
        let inherited = OpenFile(descriptor: dup(try #require(part).handle.descriptor))
        #expect(try PartFolder.open(".relay-part", in: receiving) == nil)
        part = nil
        let again = try PartFolder.open(".relay-part", in: receiving)
        withExtendedLifetime(inherited) { #expect(again != nil) }
    }

    @Test func whatAnotherProcessReceivesIsNotAskedForAgain() throws {
        let (tree, _) = try interrupted()
        let offer = try tree.offer
        let broken = try #require(parts().manifest(of: offer.transfer, from: offer.sender.identity))
        let sink = try parts().open(offer)
        #expect(parts().manifest(of: offer.transfer, from: offer.sender.identity) == nil)
        sink.keep()
        #expect(parts().manifest(of: offer.transfer, from: offer.sender.identity) == broken)
    }

    /// As when what is in it cannot be opened, or is removed.
    @Test func aLockThatWasLetGoIsNotHeldByAProgramThatIsBeingStarted() throws {
        let receiving = try folder.directory.folder()
        #expect(mkdir(folder.path + "/.relay-part", 0o700) == 0)
        var locked = try PartFolder.lock(".relay-part", in: receiving)
        let inherited = OpenFile(descriptor: dup(try #require(locked).handle.descriptor))
        #expect(try PartFolder.lock(".relay-part", in: receiving) == nil)
        locked = nil
        let again = try PartFolder.lock(".relay-part", in: receiving)
        withExtendedLifetime(inherited) { #expect(again != nil) }
    }

    /// The person said yes to what was offered, and to nothing else of the same transfer.
    @Test func whatIsOfferedAsSomethingElseWasNotAccepted() throws {
        let (tree, _) = try interrupted()
        let offer = try tree.offer
        #expect(parts().hasAccepted(offer))
        var others = [OfferSummary](repeating: offer.summary, count: 4)
        others[0].names = ["other"]
        others[1].bytes = (offer.summary.bytes ?? 0) + 1
        others[2].entries = 2
        others[3].kind = .several
        for other in others {
            #expect(!parts().hasAccepted(other, of: offer.transfer, from: offer.sender.identity))
        }
    }

    @Test func anotherSourceUnderTheSameTransferBeginsAgain() throws {
        let (tree, _) = try interrupted()
        var other = SentTree(transfer: tree.transfer)
        try other.add("top", content: [1, 2, 3])
        let offer = OfferedTransfer(
            transfer: tree.transfer, sender: try tree.offer.sender, receiver: try tree.offer.receiver,
            summary: other.summary
        )
        let sink = try parts().open(offer)
        #expect(sink.position == .beginning)
        sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    /// Behind the eighth name no summary says what is asked for: who has asked knows, also when it goes on.
    @Test func whatIsHereGoesOnOnlyForTheNamesThatItHas() throws {
        var tree = SentTree()
        for number in 10..<20 { try tree.add(String(number), content: [UInt8](repeating: 7, count: 5_000)) }
        let names = try (10..<20).map { try EntryName(Array(String($0).utf8)) }
        var offer = try tree.offer
        offer.asked = names
        let first = try parts().open(offer)
        try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: 50).carry(into: first, atMost: 20_000)
        let position = first.position
        #expect(position != .beginning)
        first.keep()
        for other in [names.dropLast(), names + [try EntryName(Array("x".utf8))]] {
            offer.asked = Array(other)
            #expect(throws: FileError.self) { try parts().open(offer) }
        }
        offer.asked = names
        let sink = try parts().open(offer)
        #expect(sink.position == position)
        try end(tree, sink)
    }

    @Test func onlyWhatWasAskedForIsTakenDown() throws {
        let names = try (10..<20).map { try EntryName(Array(String($0).utf8)) }
        for came in [(10..<21), (10..<19)] {
            var tree = SentTree()
            for number in came { try tree.add(String(number), content: [1]) }
            var offer = try tree.offer
            offer.asked = names
            let sink = try parts().open(offer)
            #expect(throws: FileError.self) {
                _ = try sink.acceptance()
                for entry in tree.entries { try sink.take(entry) }
                var manifest = ByteBuffer()
                var encoder = ManifestEncoder()
                for entry in tree.entries { try encoder.write(entry, into: &manifest) }
                _ = try sink.takeManifest(
                    try encoder.finish(of: tree.transfer, signedBy: tree.identity, into: &manifest))
            }
            sink.discard()
        }
    }

    @Test func namesThatLookAlikeAreTwo() throws {
        var tree = SentTree()
        for name in ["e\u{301}", "\u{E9}"] { try tree.add(name, content: [1]) }
        let sink = try parts().open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try folder.listing().count == 2)
    }

    @Test func partsThatAreOpenAreNotOpenedTwiceNorRemoved() throws {
        let tree = try SentTree.file()
        let first = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: first)
        let second = try parts().open(try tree.offer)
        #expect(second.position == .beginning)
        #expect(!parts().forget(try SentTree.file().transfer))
        #expect(!parts().forget(tree.transfer))
        #expect(parts().removeOld(before: .max).isEmpty)
        second.discard()
        #expect(try first.finish().files == 1)
        first.confirmed()
        #expect(try folder.listing() == ["report.pdf"])
    }

    @Test func whatWasBegunIsListedForgottenAndRemovedWhenItIsOld() throws {
        let (tree, _) = try interrupted()
        let listed = try #require(parts().unfinished().first)
        #expect(listed.transfer == tree.transfer && listed.summary.names == ["top"])
        #expect(listed.summary.bytes == nil)
        #expect(listed.sender == (try tree.offer.sender) && !listed.isFinished)
        #expect(listed.bytesHere > 18_000 && listed.path == hidden(tree))
        #expect(listed.since <= listed.changed && listed.since > 1_700_000_000_000)
        #expect(parts().removeOld(before: listed.changed).isEmpty)
        #expect(parts().removeOld(before: listed.changed + 1).map(\.transfer) == [tree.transfer])
        #expect(try folder.listing().isEmpty)
        // What is damaged beyond telling goes, too, and what only looks like it stays.
        let (damaged, _) = try interrupted()
        #expect(truncate(hidden(damaged) + "/journal", 10) == 0)
        #expect(mkdir(folder.path + "/.relay-mine.part", 0o700) == 0)
        #expect(parts().unfinished().isEmpty && parts().removeOld(before: .max).isEmpty)
        #expect(try folder.listing() == [".relay-mine.part"])
        #expect(rmdir(folder.path + "/.relay-mine.part") == 0)
        let (other, _) = try interrupted()
        #expect(parts().forget(other.transfer) && !parts().forget(other.transfer))
        #expect(try folder.listing().isEmpty && parts().unfinished().isEmpty)
    }

    /// A person who looks while it comes sees what is there, and not what was there a second ago.
    @Test func whatHasComeOfAFileIsListedBeforeTheJournalTells() throws {
        let size: UInt64 = 100_000
        let tree = try SentTree.file("film.mkv", [UInt8](repeating: 7, count: Int(size)))
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: .max).carry(into: sink, atMost: 50_000)
        let here = sink.receivedBytes
        #expect(here > 0 && here < size)
        #expect(parts().unfinished().map(\.bytesHere) == [here])
        // What another boot has written may not be on the disk.
        #expect(parts(boot: "other").unfinished().map(\.bytesHere) == [0])
        sink.keep()
    }

    /// A link, or a folder of another user's, is not taken for parts.
    @Test func partsThatAreALinkAreNotUsed() throws {
        let tree = try SentTree.file()
        #expect(symlink(folder.outside, hidden(tree)) == 0)
        try end(tree, try parts().open(try tree.offer), names: [PartFolder.name(of: tree.transfer)])
        #expect(try folder.outsideListing().isEmpty)
    }

    private func end(_ tree: SentTree, _ sink: ReceivedTree, names: [String]) throws {
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
        #expect(try folder.listing().filter { $0.hasPrefix(".") } == names)
    }
}
