// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// Files that are there already are not sent again.
struct SkipExistingTests {
    let folder: ReceivedFolder
    let options = ReceivedOptions(existing: .skip)

    init() throws { folder = try ReceivedFolder() }

    private var parts: ReceivedParts {
        ReceivedParts(directory: folder.directory, options: options, calls: ResumedTreeTests.calls)
    }

    private func receive(_ tree: SentTree, _ options: ReceivedOptions) throws -> (
        CarryingAttempt.Outcome, StoredTransfer
    ) {
        let parts = ReceivedParts(directory: folder.directory, options: options, calls: ResumedTreeTests.calls)
        let sink = try parts.open(try tree.offer)
        let outcome = try CarryingAttempt(tree: tree).carry(into: sink)
        #expect(outcome.isWhole)
        let stored = try sink.finish()
        sink.confirmed()
        return (outcome, stored)
    }

    @Test(arguments: SeededGenerator.seeds(8)) func whatIsThereIsNotWanted(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed)
        _ = try receive(tree, ReceivedOptions())
        // Names that had to be changed at the top are found again, but for those that then were the same.
        let before = try TreeSnapshot(of: folder.path)
        let again = try SentTree(seed: seed)
        let (outcome, stored) = try receive(again, options)
        let isKnown = again.entries.compactMap { entry in entry.isFile ? entry.size != nil : nil }
        if !before.entries.keys.contains(where: { $0.contains(" (1)") }) {
            #expect(outcome.wanted == isKnown.map { !$0 }, "seed \(seed)")
            #expect(stored.files == UInt64(isKnown.filter { !$0 }.count))
        }
        #expect(stored.summary.entries == UInt64(again.entries.filter { !$0.isFile }.count) + stored.files)
    }

    @Test func whatIsMissingGoesIntoTheFolderThatIsThere() throws {
        var tree = SentTree()
        let photos = try tree.add("photos")
        try tree.add("a.jpg", in: photos, content: Array("a".utf8))
        let deep = try tree.add("deep", in: photos)
        try tree.add("b.jpg", in: deep, content: Array("b".utf8))
        _ = try receive(tree, ReceivedOptions())
        // Another content of the same name, one that is missing, and a folder that is new.
        try folder.temporary.write(Data("mine".utf8), to: "inbox/photos/a.jpg")
        var more = SentTree()
        let top = try more.add("photos")
        try more.add("a.jpg", in: top, content: Array("a".utf8))
        let inner = try more.add("deep", in: top)
        try more.add("b.jpg", in: inner, content: Array("b".utf8))
        try more.add("c.jpg", in: inner, content: Array("c".utf8))
        let new = try more.add("new", in: top)
        try more.add("d.jpg", in: new, content: Array("d".utf8))
        let (outcome, stored) = try receive(more, options)
        #expect(outcome.wanted == [true, false, true, true])
        #expect(stored.files == 3 && stored.summary.entries == 6 && stored.bytes == 3)
        #expect(stored.contents.map(\.path) == [folder.path + "/photos"])
        #expect(stored.contents.first?.currentPath() == folder.path + "/photos")
        #expect(try folder.listing() == ["photos"])
        #expect(
            Set(try TreeSnapshot(of: folder.path).entries.map { path, entry in "\(path) \(entry)" })
                == Set([
                    "photos \(TreeSnapshot.Entry.folder)", "photos/deep \(TreeSnapshot.Entry.folder)",
                    "photos/new \(TreeSnapshot.Entry.folder)", file("photos/a.jpg", "mine"),
                    file("photos/a (1).jpg", "a"), file("photos/deep/b.jpg", "b"), file("photos/deep/c.jpg", "c"),
                    file("photos/new/d.jpg", "d"),
                ])
        )
    }

    /// What had changed is stored beside what was there, and is there from then on.
    @Test func whatIsThereUnderANumberIsNotWanted() throws {
        func tree(_ content: String, time: Int64) throws -> SentTree {
            var tree = SentTree()
            try tree.add("b.txt", content: Array(content.utf8), time: time)
            let top = try tree.add("top")
            try tree.add("a.txt", in: top, content: Array(content.utf8), time: time)
            return tree
        }
        for (time, content) in [(1, "one"), (2, "two"), (3, "three")] as [(Int64, String)] {
            let (outcome, stored) = try receive(try tree(content, time: time), options)
            #expect(outcome.wanted == [true, true] && stored.isNew && stored.files == 2)
            // Each later version is found again, and nothing is made of it.
            for _ in 0..<2 {
                let (again, nothing) = try receive(try tree(content, time: time), options)
                #expect(again.wanted == [false, false], "\(content)")
                #expect(!nothing.isNew && nothing.files == 0 && nothing.folder == folder.path)
            }
        }
        let names = ["a (1).txt", "a (2).txt", "a.txt"]
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/top").sorted() == names)
        #expect(try folder.listing() == ["b (1).txt", "b (2).txt", "b.txt", "top"])
        // What was removed is wanted again, whatever is beside it.
        #expect(unlink(folder.path + "/b.txt") == 0)
        let (outcome, _) = try receive(try tree("three", time: 3), options)
        #expect(outcome.wanted == [true, false])
    }

    /// Each of several whose name was taken is told, and the others are not.
    @Test func namesThatWereChangedAreTold() throws {
        var tree = SentTree()
        for name in ["a", "b", "c"] { try tree.add(name, content: Array(name.utf8)) }
        try folder.temporary.write(Data("mine".utf8), to: "inbox/a")
        try folder.temporary.write(Data("mine".utf8), to: "inbox/c")
        let (_, stored) = try receive(tree, ReceivedOptions())
        let path = folder.path
        #expect(
            stored.renamed == [
                RenamedEntry(offered: "a", path: path + "/a (1)"), RenamedEntry(offered: "c", path: path + "/c (1)"),
            ])
        // Of one alone, the line of its end says it.
        #expect(try receive(try .file("a"), ReceivedOptions()).1.renamed.isEmpty)
    }

    @Test func aFolderAloneIsNewOnce() throws {
        var tree = SentTree()
        try tree.add("empty", in: try tree.add("top"))
        for isNew in [true, false] {
            let (_, stored) = try receive(tree, options)
            #expect(stored.isNew == isNew)
        }
    }

    private func file(_ path: String, _ content: String) -> String {
        "\(path) \(TreeSnapshot.Entry.file(Array(content.utf8)))"
    }

    /// A link in the place of a folder is not gone through.
    @Test func aLinkInThePlaceOfAFolderIsNotFollowed() throws {
        try FileManager.default.createDirectory(atPath: folder.outside + "/x", withIntermediateDirectories: false)
        #expect(symlink(folder.outside, folder.path + "/photos") == 0)
        var tree = SentTree()
        let photos = try tree.add("photos")
        try tree.add("a", in: photos, content: [1])
        let (outcome, stored) = try receive(tree, options)
        #expect(outcome.wanted == [true])
        #expect(stored.contents.map(\.path) == [folder.path + "/photos (1)"])
        #expect(try folder.outsideListing() == ["x"])
    }

    @Test func aLinkThatIsThereIsNotMadeAgain() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        try tree.add("a", in: top, .link(target: Array("b".utf8)))
        try tree.add("b", in: top, content: [1])
        for target in ["b", "c"] {
            let (_, stored) = try receive(tree, ReceivedOptions(keepsMetadata: true, existing: .skip))
            #expect(stored.summary.entries == (target == "b" ? 3 : 2))
            #expect(unlink(folder.path + "/top/a") == 0)
            #expect(symlink(target, folder.path + "/top/a") == 0)
        }
        _ = try receive(tree, ReceivedOptions(keepsMetadata: true, existing: .skip))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path + "/top").sorted() == ["a", "a (1)", "b"])
    }

    @Test func aKilledReceiverStillWantsTheSame() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        var generator = SeededGenerator(seed: 3)
        for name in ["a", "b", "c", "d", "e"] { try tree.add(name, in: top, content: generator.bytes(5_000)) }
        _ = try receive(tree, ReceivedOptions())
        for name in ["b", "d", "e"] { #expect(unlink(folder.path + "/top/" + name) == 0) }
        let before = try TreeSnapshot(of: folder.path)
        let sink = try parts.open(try tree.offer)
        let outcome = try CarryingAttempt(tree: tree, piece: 500).carry(into: sink, atMost: 8_000)
        #expect(outcome.wanted == [false, true, false, true, true])
        let position = sink.position
        #expect(position.file == 3 && position.offset > 0)
        sink.keep()
        #expect(try TreeSnapshot(of: folder.path) == before)
        #expect(unlink(folder.path + "/top/a") == 0)
        let again = try parts.open(try tree.offer)
        #expect(again.position == position)
        let second = try CarryingAttempt(tree: tree).carry(into: again)
        #expect(second.isWhole && second.wanted == outcome.wanted)
        #expect(try again.finish().files == 3)
        again.keep()
        // It is stored, and its sender is told the same once more.
        let last = try parts.open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: last).wanted == outcome.wanted)
        #expect(try last.finish().files == 3)
        last.confirmed()
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path + "/top").sorted() == ["b", "c", "d", "e"])
    }

    @Test func manyRunsOfWantedFilesFit() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        for number in 0..<9_000 {
            let digits = String(number)
            let name = String(repeating: "0", count: 6 - digits.count) + digits
            try tree.add(name, in: top, content: [])
        }
        try FileManager.default.createDirectory(atPath: folder.path + "/top", withIntermediateDirectories: false)
        for number in stride(from: 0, to: 9_000, by: 2) {
            let digits = String(number)
            let path = folder.path + "/top/" + String(repeating: "0", count: 6 - digits.count) + digits
            let file = open(path, O_CREAT | O_WRONLY, 0o600)
            let times = [timespec(tv_sec: 0, tv_nsec: 0), timespec(tv_sec: 1_700_000_000, tv_nsec: 123_456_789)]
            #expect(futimens(file, times) == 0)
            close(file)
        }
        let (outcome, stored) = try receive(tree, options)
        #expect(outcome.wanted == (0..<9_000).map { $0 % 2 == 1 })
        #expect(stored.files == 4_500)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/top").count == 9_000)
    }
}

extension ManifestEntry {
    fileprivate var isFile: Bool {
        if case .file = kind { true } else { false }
    }
}
