// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import PrivateFiles
import Synchronization
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// What is received takes the place of what is there, once it is verified and not before.
struct OverwriteTests {
    let folder: ReceivedFolder
    let options = ReceivedOptions(existing: .replace)

    init() throws { folder = try ReceivedFolder() }

    private func parts(_ options: ReceivedOptions? = nil, calls: FileCalls = ResumedTreeTests.calls) -> ReceivedParts {
        ReceivedParts(directory: folder.directory, options: options ?? self.options, calls: calls)
    }

    private func receive(_ tree: SentTree, _ options: ReceivedOptions? = nil) throws -> StoredTransfer {
        let sink = try parts(options).open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        let stored = try sink.finish()
        sink.confirmed()
        return stored
    }

    private func put(_ content: String, _ path: String, mode: mode_t = 0o644) throws {
        try folder.temporary.write(Data(content.utf8), to: "inbox/" + path)
        #expect(chmod(folder.path + "/" + path, mode) == 0)
    }

    private func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/" + path, withIntermediateDirectories: true)
    }

    /// Every path below the folder, with the content of files.
    private func found() throws -> [String: String] {
        try TreeSnapshot(of: folder.path).entries.mapValues { entry in
            switch entry {
            case .folder: "folder"
            case .link(let target): "-> " + target
            case .file(let content): String(decoding: content, as: UTF8.self)
            }
        }
    }

    @Test func aFileTakesThePlaceOfTheOneOfItsName() throws {
        try put("mine", "report.pdf", mode: 0o710)
        let open = try OpenFile(folder.path + "/report.pdf", flags: O_RDONLY)
        let stored = try receive(try .file("report.pdf", Array("theirs".utf8)))
        #expect(stored.replaced == 1 && stored.path == folder.path + "/report.pdf")
        #expect(try found() == ["report.pdf": "theirs"])
        #expect(stored.contents.first?.currentPath() == folder.path + "/report.pdf")
        // A reader of the old one goes on; the new one has the permissions of the old one, and is not executable.
        #expect(try open.status().st_size == 4)
        let status = try #require(OpenFile.status(of: folder.path + "/report.pdf"))
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(folder.remarks.all == [])
        let other = try receive(try .file("new.pdf", []))
        #expect(other.replaced == 0)
    }

    @Test func nothingIsReplacedByWhatIsNotWhole() throws {
        try put("mine", "report.pdf")
        let tree = try SentTree.file("report.pdf", SentTree.bytes(20_000))
        let sink = try parts().open(try tree.offer)
        #expect(try !CarryingAttempt(tree: tree).carry(into: sink, atMost: 12_000).isWhole)
        #expect(try folder.content(folder.path + "/report.pdf") == "mine")
        sink.keep()
        #expect(try folder.content(folder.path + "/report.pdf") == "mine")
        // It goes on as it was begun, also in a process that was not told to replace anything.
        let again = try parts(ReceivedOptions()).open(try tree.offer)
        #expect(again.position.offset > 0)
        #expect(try CarryingAttempt(tree: tree).carry(into: again).isWhole)
        #expect(try folder.content(folder.path + "/report.pdf") == "mine")
        #expect(try again.finish().replaced == 1)
        again.confirmed()
        #expect(try folder.listing() == ["report.pdf"])
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path + "/report.pdf")) == Data(tree.files[0]))
        let refused = try parts().open(try SentTree.file("report.pdf", [1]).offer)
        refused.discard()
        #expect(try folder.listing() == ["report.pdf"])
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path + "/report.pdf")) == Data(tree.files[0]))
    }

    @Test func aFolderGoesIntoTheOneOfItsName() throws {
        try makeFolder("photos/deep")
        try put("mine", "photos/a.jpg")
        try put("mine", "photos/deep/b.jpg")
        try put("mine", "photos/deep/other.jpg")
        var tree = SentTree()
        let photos = try tree.add("photos")
        try tree.add("a.jpg", in: photos, content: Array("a".utf8))
        let deep = try tree.add("deep", in: photos)
        try tree.add("b.jpg", in: deep, content: Array("b".utf8))
        try tree.add("c.jpg", in: deep, content: Array("c".utf8))
        let new = try tree.add("new", in: photos)
        try tree.add("d.jpg", in: new, content: Array("d".utf8))
        let stored = try receive(tree)
        #expect(stored.replaced == 2 && stored.files == 4 && stored.path == folder.path + "/photos")
        #expect(
            try found() == [
                "photos": "folder", "photos/deep": "folder", "photos/new": "folder", "photos/a.jpg": "a",
                "photos/deep/b.jpg": "b", "photos/deep/c.jpg": "c", "photos/deep/other.jpg": "mine",
                "photos/new/d.jpg": "d",
            ])
    }

    @Test(arguments: SeededGenerator.seeds(8)) func whatComesTwiceIsThereOnce(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed)
        #expect(try receive(tree).replaced == 0)
        let before = try TreeSnapshot(of: folder.path)
        let again = try SentTree(seed: seed)
        let stored = try receive(again)
        // Two names at the top that had to be changed can come down to one.
        guard !before.entries.keys.contains(where: { $0.contains(" (1)") }) else { return }
        #expect(try TreeSnapshot(of: folder.path).entries == before.entries, "seed \(seed)")
        #expect(stored.replaced == UInt64(tree.files.count), "seed \(seed)")
    }

    @Test func nothingIsReplacedByWhatIsOfAnotherKind() throws {
        try makeFolder("file/inside")
        try put("mine", "folder")
        #expect(symlink(folder.outside, folder.path + "/link") == 0)
        #expect(symlink("nowhere", folder.path + "/link.txt") == 0)
        try makeFolder("top/x")
        try put("mine", "top/y")
        var tree = SentTree()
        try tree.add("file", content: Array("theirs".utf8))
        let inner = try tree.add("folder")
        try tree.add("a", in: inner, content: Array("a".utf8))
        let link = try tree.add("link")
        try tree.add("b", in: link, content: Array("b".utf8))
        try tree.add("link.txt", content: Array("theirs".utf8))
        let top = try tree.add("top")
        try tree.add("x", in: top, content: Array("x".utf8))
        let deep = try tree.add("y", in: top)
        try tree.add("c", in: deep, content: Array("c".utf8))
        #expect(try receive(tree).replaced == 0)
        #expect(
            try found() == [
                "file": "folder", "file/inside": "folder", "file (1)": "theirs", "folder": "mine",
                "folder (1)": "folder", "folder (1)/a": "a", "link": "-> " + folder.outside, "link (1)": "folder",
                "link (1)/b": "b", "link.txt": "-> nowhere", "link (1).txt": "theirs", "top": "folder",
                "top/x": "folder", "top/x (1)": "x", "top/y": "mine", "top/y (1)": "folder", "top/y (1)/c": "c",
            ])
        #expect(try folder.outsideListing() == [])
        #expect(
            folder.remarks.all == [
                "\"file\" is a folder here, and stays: the file that came is stored as \"file (1)\"",
                "\"folder\" is a file here, and stays: the folder that came is stored as \"folder (1)\"",
                "\"link\" is a link here, and stays: the folder that came is stored as \"link (1)\"",
                "\"link.txt\" is a link here, and stays: the file that came is stored as \"link (1).txt\"",
                "\"top/x\" is a folder here, and stays: the file that came is stored as \"x (1)\"",
                "\"top/y\" is a file here, and stays: the folder that came is stored as \"y (1)\"",
            ])
    }

    @Test func manyThatKeepTheirPlaceAreCounted() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        for number in 10..<22 {
            try makeFolder("top/\(number)")
            try tree.add("\(number)", in: top, content: [1])
        }
        _ = try receive(tree)
        #expect(folder.remarks.all.count == Defaults.toldNames + 1)
        #expect(folder.remarks.all.last == "so were 4 others, with a number in the name")
    }

    /// What a transfer brings is not replaced by the rest of it.
    @Test func namesThatComeDownToOneAreAllKept() throws {
        try put("mine", "a_")
        try makeFolder("top/x")
        try put("mine", "top/x (1)")
        var tree = SentTree()
        try tree.add("a\n", content: Array("first".utf8))
        try tree.add("a_", content: Array("second".utf8))
        let one = try tree.add("f\n")
        try tree.add("in", in: one, content: Array("third".utf8))
        let other = try tree.add("f_")
        try tree.add("in", in: other, content: Array("fourth".utf8))
        let top = try tree.add("top")
        try tree.add("x", in: top, content: Array("fifth".utf8))
        try tree.add("x (2)", in: top, content: Array("sixth".utf8))
        #expect(try receive(tree).replaced == 1)
        #expect(
            try found() == [
                "a_": "first", "a_ (1)": "second", "f_": "folder", "f_/in": "third", "f_ (1)": "folder",
                "f_ (1)/in": "fourth", "top": "folder", "top/x": "folder", "top/x (1)": "mine", "top/x (2)": "fifth",
                "top/x (2) (1)": "sixth",
            ])
        #expect(
            folder.remarks.all.first
                == "\"a_\" came with the same transfer: the file that came is stored as \"a_ (1)\"")
    }

    @Test func linksAreReplacedByLinks() throws {
        try makeFolder("top")
        #expect(symlink("old", folder.path + "/top/l") == 0)
        var tree = SentTree()
        let top = try tree.add("top")
        try tree.add("l", in: top, .link(target: Array("new".utf8)))
        #expect(try receive(tree, ReceivedOptions(keepsMetadata: true, existing: .replace)).replaced == 1)
        #expect(try found() == ["top": "folder", "top/l": "-> new"])
    }

    /// Between the line in the journal and the name, or behind the name: what is gone on with gives each name once.
    @Test(arguments: 0...3) func anInterruptionAmongTheNamesIsGoneOnWith(_ count: Int) throws {
        for name in ["a", "b", "c"] { try put("mine", name) }
        var tree = SentTree()
        for name in ["a", "b", "c"] { try tree.add(name, content: Array("new \(name)".utf8)) }
        let given = Mutex(0)
        var calls = ResumedTreeTests.calls
        let replace = calls.replace
        calls.replace = { folder, from, target, to in
            let number = given.withLock { given in
                defer { given += 1 }
                return given
            }
            guard number == count else { return replace(folder, from, target, to) }
            errno = EIO
            return -1
        }
        let sink = try parts(calls: calls).open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        if count < 3 {
            let error = #expect(throws: FileError.self) { try sink.finish() }
            #expect(error?.message.contains("cannot get its name") == true)
            #expect(try folder.content(folder.path + "/c") == "mine")
        } else {
            #expect(try sink.finish().replaced == 3)
        }
        sink.keep()
        let again = try parts().open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: again).isWhole)
        #expect(try again.finish().path == folder.path)
        again.confirmed()
        #expect(try found() == ["a": "new a", "b": "new b", "c": "new c"])
        #expect(folder.remarks.all == [])
    }

    @Test func theQuestionKnowsWhatIsThere() throws {
        try put("mine", "a_")
        try makeFolder("photos")
        func replaces(_ kind: OfferSummary.Kind, _ names: String..., options: ReceivedOptions? = nil) -> [String] {
            parts(options).replaces(
                OfferSummary(names: names, entries: UInt64(names.count), bytes: 1, kind: kind))
        }
        #expect(replaces(.file, "a_") == ["a_"] && replaces(.file, "a\n") == ["a\n"] && replaces(.folder, "a_") == [])
        #expect(replaces(.folder, "photos") == ["photos"] && replaces(.file, "photos") == [])
        #expect(replaces(.several, "photos", "x", "a_") == ["photos", "a_"])
        #expect(replaces(.file, "a_", options: ReceivedOptions()) == [])
    }
}

extension SentTree {
    fileprivate static func bytes(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: 7)
        return generator.bytes(count)
    }
}
