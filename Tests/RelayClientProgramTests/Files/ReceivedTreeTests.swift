// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// Trees that are received without interruption.
struct ReceivedTreeTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    private func parts(_ options: ReceivedOptions = ReceivedOptions(), calls: FileCalls = ResumedTreeTests.calls)
        -> ReceivedParts
    {
        ReceivedParts(directory: folder.directory, options: options, calls: calls)
    }

    @discardableResult
    private func receive(_ tree: SentTree, _ options: ReceivedOptions = ReceivedOptions()) throws -> StoredTransfer {
        let sink = try parts(options).open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        let stored = try sink.finish()
        sink.confirmed()
        return stored
    }

    @Test func aFileArrives() throws {
        let tree = try SentTree.file()
        let sink = try parts(calls: .system).open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let stored = try sink.finish()
        sink.confirmed()
        #expect(stored.contents.map(\.path) == [folder.path + "/report.pdf"])
        #expect(stored.contents.first?.currentPath() == folder.path + "/report.pdf")
        #expect(stored.summary.entries == 1 && stored.bytes == 7 && stored.files == 1)
        #expect(try folder.listing() == ["report.pdf"])
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
        var status = stat()
        #expect(stat(folder.path + "/report.pdf", &status) == 0)
        #expect(status.st_mode & 0o7777 == FileMode.ofNewFiles)
        #expect(status.st_mtim.tv_nsec == 123_456_789)
    }

    @Test(arguments: SeededGenerator.seeds(25)) func randomTreesArrive(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed, hasLinks: true)
        let stored = try receive(tree)
        let (found, sent) = (try TreeSnapshot(of: folder.path), TreeSnapshot(of: tree))
        #expect(found == sent, "seed \(seed)")
        #expect(stored.summary.entries == UInt64(tree.entries.count))
        #expect(stored.bytes == UInt64(tree.files.map(\.count).reduce(0, +)))
        #expect(folder.remarks.all.count == (sent.entries.count < tree.entries.count ? 1 : 0))
    }

    @Test(arguments: SeededGenerator.seeds(15)) func randomTreesKeepLinksAndPermissions(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed, hasLinks: true)
        try receive(tree, ReceivedOptions(keepsMetadata: true))
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree, keepsLinks: true), "seed \(seed)")
        let paths = TreeSnapshot(of: tree, keepsLinks: true).entries.keys.sorted()
        for path in paths {
            var status = stat()
            #expect(lstat(folder.path + "/" + path, &status) == 0)
            #expect(status.st_mode & 0o7000 == 0)
        }
    }

    @Test func permissionsAreKeptOnlyWhenAsked() throws {
        var tree = SentTree()
        let bin = try tree.add("bin", mode: 0o510)
        try tree.add("run", in: bin, content: [1], mode: 0o751)
        for (keeps, folderMode, mode) in [(false, 0o777 & ~mask, FileMode.ofNewFiles), (true, 0o510, 0o751)] {
            try receive(tree, ReceivedOptions(keepsMetadata: keeps))
            let name = keeps ? "bin (1)" : "bin"
            #expect(try TemporaryDirectory.mode(of: folder.path + "/" + name) == Int(folderMode))
            #expect(try TemporaryDirectory.mode(of: folder.path + "/\(name)/run") == Int(mode))
        }
    }

    private var mask: mode_t { 0o666 & ~FileMode.ofNewFiles }

    @Test func nothingHasItsFinalNameBeforeTheEnd() throws {
        let tree = try SentTree.file("report.pdf", [UInt8](repeating: 1, count: 100_000))
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let hidden = try #require(try folder.listing().first)
        #expect(try folder.listing().count == 1)
        #expect(hidden == PartFolder.name(of: tree.transfer))
        #expect(try TemporaryDirectory.mode(of: folder.path + "/" + hidden) == 0o700)
        #expect(try TemporaryDirectory.mode(of: folder.path + "/\(hidden)/journal") == 0o600)
        #expect(sink.hasContent && sink.receivedBytes == 100_000)
        sink.discard()
        sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    @Test func nothingIsEverReplaced() throws {
        try folder.temporary.write(Data("old".utf8), to: "inbox/a.txt")
        try FileManager.default.createDirectory(atPath: folder.path + "/a (1).txt", withIntermediateDirectories: false)
        #expect(symlink("/nowhere", folder.path + "/a (2).txt") == 0)
        #expect(symlink(folder.outside + "/victim", folder.path + "/a (3).txt") == 0)
        #expect(try receive(try SentTree.file("a.txt")).contents.map(\.path) == [folder.path + "/a (4).txt"])
        #expect(try folder.content(folder.path + "/a.txt") == "old")
        var photos = SentTree()
        let number = try photos.add("v1.photos")
        try photos.add("a", in: number, content: [1])
        #expect(try receive(photos).contents.map(\.path) == [folder.path + "/v1.photos"])
        photos = SentTree()
        try photos.add("v1.photos")
        #expect(try receive(photos).contents.map(\.path) == [folder.path + "/v1.photos (1)"])
        #expect(try folder.outsideListing().isEmpty)
    }

    /// Peers' mistake 4: links in the path, put there after the check.
    @Test func theFolderMayBeSwappedForALinkMeanwhile() throws {
        let tree = try SentTree.file("a.txt")
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let moved = folder.temporary.file("moved")
        #expect(rename(folder.path, moved) == 0)
        #expect(symlink(folder.outside, folder.path) == 0)
        #expect(try sink.finish().contents.map(\.path) == [moved + "/a.txt"])
        sink.confirmed()
        #expect(throws: FileError.self) { try parts().open(try SentTree.file("b.txt").offer) }
        #expect(try folder.outsideListing().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: moved) == ["a.txt"])
    }

    /// Peers' mistake 4: the unfinished file is swapped for a link, or for another file.
    @Test(arguments: [true, false]) func aSwappedPartIsNotTakenForOurs(_ isLink: Bool) throws {
        try folder.temporary.write(Data("victims".utf8), to: "outside/victim")
        let tree = try SentTree.file("a.txt")
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let part = folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content/a.txt"
        #expect(unlink(part) == 0)
        #expect((isLink ? symlink : link)(folder.outside + "/victim", part) == 0)
        let error = failure { _ = try sink.finish() }
        #expect(error?.code == .writeFailed && error?.status.rawValue == 74)
        sink.discard()
        #expect(try folder.listing().allSatisfy { $0.hasPrefix(".") })
        #expect(try folder.content(folder.outside + "/victim") == "victims")
    }

    @Test func whatWasMovedMeanwhileIsNamed() throws {
        let tree = try SentTree.file("a")
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let moved = folder.outside + "/moved"
        #expect(rename(folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content/a", moved) == 0)
        let error = failure { _ = try sink.finish() }
        #expect(error?.code == .writeFailed && error?.message.contains("\"\(moved)\"") == true)
        sink.discard()
        #expect(try folder.content(moved) == "content")
    }

    /// A link that is put where a folder of the tree is made leads nowhere.
    @Test func linksInTheTreeAreNotFollowed() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        try tree.add("a", in: top, content: [UInt8](repeating: 1, count: 10_000))
        let inner = try tree.add("b", in: top)
        try tree.add("c", in: inner, content: [2])
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree, piece: 100).carry(into: sink, atMost: 2_000)
        let content = folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content"
        #expect(symlink(folder.outside, content + "/top/b") == 0)
        #expect(throws: FileError.self) { try CarryingAttempt(tree: tree).carry(into: sink) }
        #expect(try folder.outsideListing().isEmpty)
    }

    @Test func holesStayHoles() throws {
        var content = [UInt8](repeating: 0, count: 3_000_000)
        content[0] = 1
        content[2_500_000] = 1
        let tree = try SentTree.file("sparse", content)
        try receive(tree)
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
        var status = stat()
        #expect(stat(folder.path + "/sparse", &status) == 0)
        #expect(status.st_blocks * 512 < 100_000)
    }

    @Test func aTreeOfTheGreatestDepthArrives() throws {
        var tree = SentTree()
        var parent: UInt32?
        for _ in 0..<1_024 { parent = try tree.add("d", in: parent) }
        try tree.add("end", in: parent, content: [7])
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count < 600)
        #expect(try sink.finish().summary.entries == 1_025)
        sink.confirmed()
        #expect(try folder.listing() == ["d"])
        let again = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: again)
        again.discard()
        #expect(try folder.listing() == ["d"])
        FolderContents.remove(in: try OpenFile(folder.path, flags: O_RDONLY | O_DIRECTORY))
        #expect(try folder.listing().isEmpty)
    }

    @Test func thirtyAtOnceOfOneNameAllArrive() async throws {
        let parts = parts()
        let paths = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<30 {
                group.addTask {
                    let tree = try SentTree.file("same.txt", Array("\(number)".utf8))
                    let sink = try parts.open(try tree.offer)
                    try CarryingAttempt(tree: tree).carry(into: sink)
                    let stored = try sink.finish()
                    sink.confirmed()
                    return stored.contents.map(\.path).joined()
                }
            }
            return try await group.reduce(into: Set<String>()) { paths, path in paths.insert(path) }
        }
        #expect(paths.count == 30)
        #expect(Set(try paths.map(folder.content)) == Set((0..<30).map(String.init)))
    }

    @Test func afterTheEndNothingIsWritten() throws {
        let tree = try SentTree.file("a")
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let stored = try sink.finish()
        #expect(try sink.finish().contents.map(\.path) == stored.contents.map(\.path))
        sink.confirmed()
        #expect(failure { try sink.write(ByteBuffer(string: "x")) }?.code == .writeFailed)
        #expect(failure { _ = try sink.finish() }?.code == .writeFailed)
        sink.discard()
        #expect(try folder.content(folder.path + "/a") == "content")
    }

    @Test func aTransferWithoutAnyFileArrives() throws {
        var tree = SentTree()
        let outer = try tree.add("empty", time: 1_000_000)
        try tree.add("inner", in: outer, time: 2_000_000)
        let sink = try parts().open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        #expect(try sink.finish().summary.entries == 2)
        sink.keep()
        #expect(parts().hasAccepted(try tree.offer))
        let again = try parts().open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: again).isWhole)
        #expect(try again.finish().contents.map(\.path) == [folder.path + "/empty"])
        again.confirmed()
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
    }
}
