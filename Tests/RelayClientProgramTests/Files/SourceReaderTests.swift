// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

struct SourceReaderTests {
    let fixture: SourceFixture

    init() throws { fixture = try SourceFixture() }

    // MARK: - Random trees

    /// The seed of this run; the expectations print it.
    private let seed = UInt64.random(in: .min ... .max)

    /// Any tree, in reads of any size, from any position, arrives as it is, and is as long as was said.
    @Test func randomTreesArrive() throws {
        for round in 0..<20 {
            let seed = seed &+ UInt64(round)
            var generator = SeededGenerator(seed: seed)
            let names = try makeTree(in: "r\(round)", &generator)
            let tree = try fixture.scan(names)
            let stream = try fixture.bytes(of: try fixture.reader(tree)) { Self.room(&generator) }
            #expect(
                UInt64(stream.readableBytes) == tree.streamLength(from: .beginning, wantsByNote: false), "seed \(seed)")
            let whole = try fixture.decode(stream, of: tree)
            #expect(whole.digest == tree.digest, "seed \(seed)")
            try expect(whole, isAt: fixture.path("r\(round)"), "seed \(seed)")
            for _ in 0..<5 { try expectRest(of: whole, tree, &generator, "seed \(seed)") }
            for _ in 0..<3 { try expectWanted(of: whole, tree, &generator, "seed \(seed)") }
            try tree.recheck()
        }
    }

    private static func room(_ generator: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: Int.random(in: 1...12, using: &generator)
        case 1: Int.random(in: 1...1_000, using: &generator)
        default: Int.random(in: 1...200_000, using: &generator)
        }
    }

    /// What goes on from a random position is what was missing there.
    private func expectRest(
        of whole: ReceivedStream, _ tree: SourceTree, _ generator: inout SeededGenerator, _ seed: Comment
    ) throws {
        let file = Int.random(in: 0...whole.files.count, using: &generator)
        let offset = file < whole.files.count ? Int.random(in: 0...whole.files[file].count, using: &generator) : 0
        let position = TransferPosition(file: UInt64(file), offset: UInt64(offset))
        #expect(tree.covers(position))
        let reader = try fixture.reader(tree, from: position)
        let had = whole.files.prefix(file).reduce(0) { $0 + $1.count } + offset
        #expect(reader.contentBytes == UInt64(had), seed)
        let stream = try fixture.bytes(of: reader) { Self.room(&generator) }
        #expect(reader.contentBytes == tree.size, seed)
        #expect(UInt64(stream.readableBytes) == tree.streamLength(from: position, wantsByNote: false), seed)
        guard position != .beginning else { return }
        var rest = whole.files.dropFirst(file)
        if let first = rest.first { rest[file] = Array(first.dropFirst(offset)) }
        let due = whole.files.enumerated().dropFirst(file).map { number, content in
            ExpectedFile(size: UInt64(content.count), offset: number == file ? UInt64(offset) : 0)
        }
        let received = try fixture.decode(stream, of: tree, from: position, due: due)
        #expect(received.entries.isEmpty)
        #expect(received.files == Array(rest), seed)
        #expect(reader.delivered.agree(with: summary(of: tree, entries: tree.summary.entries, bytes: tree.size)))
    }

    /// Of files that a note says are not wanted, nothing comes.
    private func expectWanted(
        of whole: ReceivedStream, _ tree: SourceTree, _ generator: inout SeededGenerator, _ seed: Comment
    ) throws {
        let file = UInt64.random(in: 0...UInt64(whole.files.count), using: &generator)
        let position = TransferPosition(file: file, offset: 0)
        var runs: [WantedRun] = []
        var wanted: [Bool] = []
        while wanted.count < whole.files.count, Int.random(in: 0..<9, using: &generator) > 0 {
            let skip = Int.random(in: 0...3, using: &generator)
            let take = Int.random(in: (skip == 0 ? 1 : 0)...4, using: &generator)
            guard wanted.count + skip + take <= whole.files.count else { break }
            runs.append(WantedRun(skip: UInt32(skip), take: UInt32(take)))
            wanted += Array(repeating: false, count: skip) + Array(repeating: true, count: take)
        }
        wanted += Array(repeating: false, count: whole.files.count - wanted.count)
        #expect(tree.streamLength(from: position, wantsByNote: true) == nil)
        let reader = try fixture.reader(tree, from: position, wantsByNote: true)
        let stream = try fixture.bytes(of: reader, wanted: runs) { Self.room(&generator) }
        let files = zip(whole.files, wanted).enumerated().filter { $0.element.1 && $0.offset >= Int(file) }.map(
            \.element.0)
        let due = files.map { ExpectedFile(size: UInt64($0.count)) }
        #expect(try fixture.decode(stream, of: tree, from: position, due: due).files == files, seed)
        #expect(reader.contentBytes == tree.size, seed)
        let all = zip(whole.files, wanted).filter(\.1).map(\.0)
        let entries = whole.entries.count - whole.files.count + all.count
        let delivered = summary(of: tree, entries: UInt64(entries), bytes: UInt64(all.reduce(0) { $0 + $1.count }))
        #expect(reader.delivered.agree(with: delivered), seed)
    }

    private func summary(of tree: SourceTree, entries: UInt64?, bytes: UInt64?) -> DeliveredSummary {
        DeliveredSummary(manifest: tree.digest, entries: entries ?? 0, bytes: bytes ?? 0)
    }

    /// Makes a tree; returns the names at its top.
    private func makeTree(in root: String, _ generator: inout SeededGenerator) throws -> [String] {
        try fixture.folder(root)
        try fill(root, depth: 0, &generator)
        return try fixture.temporary.names(in: root).map { root + "/" + $0 }
    }

    private func fill(_ folder: String, depth: Int, _ generator: inout SeededGenerator) throws {
        let letters = ["a", "B", "é", "日", "-", " ", "\n", ".x", "\u{202E}", "1"]
        for _ in 0..<Int.random(in: (depth == 0 ? 1 : 0)...6, using: &generator) {
            let length = Int.random(in: 1...6, using: &generator)
            let name = folder + "/" + (0..<length).map { _ in letters.randomElement(using: &generator) ?? "a" }.joined()
            guard !FileManager.default.fileExists(atPath: fixture.path(name)) else { continue }
            if Int.random(in: 0..<10, using: &generator) < 4, depth < 5 {
                try fixture.folder(name)
                try fill(name, depth: depth + 1, &generator)
            } else {
                let size = [0, 1, 13, 4_096, 70_000, 300_000].randomElement(using: &generator) ?? 0
                try fixture.temporary.write(
                    Data(generator.bytes(min(size, 9_000))) + Data(count: max(0, size - 9_000)), to: name)
            }
        }
    }

    /// What was received is what is there.
    private func expect(_ received: ReceivedStream, isAt root: String, _ seed: Comment) throws {
        let found = try FileManager.default.subpathsOfDirectory(atPath: root)
        var contents: [String: [UInt8]] = [:]
        var folders: Set<String> = []
        for path in found {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isFolder)
            if isFolder.boolValue {
                folders.insert(path + "/")
            } else {
                contents[path] = Array(try Data(contentsOf: URL(fileURLWithPath: root + "/" + path)))
            }
        }
        #expect(received.contents == contents, seed)
        #expect(Set(received.paths.filter { $0.hasSuffix("/") }) == folders, seed)
    }

    // MARK: - Content

    /// A record is as long as what it is of: heads are between files, not between reads.
    @Test func aFileIsOneRecord() throws {
        try fixture.temporary.write(Data(count: 3_000_000), to: "large")
        let tree = try fixture.scan(["large"])
        let stream = try fixture.bytes(of: try fixture.reader(tree))
        #expect(stream.readableBytes == Int(tree.catalogue.manifest.streamLength) + 5 + 3_000_000 + 5 + 5)
    }

    @Test func holesAreNotSent() throws {
        let path = try fixture.write("begin", to: "sparse")
        let file = try OpenFile(path, flags: O_RDWR)
        try "middle".utf8CString.withUnsafeBytes { text in
            _ = try SystemError.check { pwrite(file.descriptor, text.baseAddress, 6, 2_000_000) }
        }
        try SystemError.check { ftruncate(file.descriptor, 4_000_000) }
        let status = try file.status()
        try #require(status.st_blocks * 512 < status.st_size, "the file system of the tests has no holes")
        try fixture.write("plain", to: "tiny")
        let tree = try fixture.scan(["sparse", "tiny"])
        #expect(tree.streamLength(from: .beginning, wantsByNote: false) == nil)
        #expect(tree.size == 4_000_005)
        // What is offered says so, but not more than that: some file systems take whole pages for a few bytes.
        #expect((3_800_000..<4_000_000).contains(tree.summary.holes ?? 0))
        let reader = try fixture.reader(tree)
        let stream = try fixture.bytes(of: reader)
        #expect(stream.readableBytes < 100_000)
        #expect(reader.contentBytes == 4_000_005)
        let received = try fixture.decode(stream, of: tree)
        #expect(received.holes > 3_900_000)
        #expect(received.files[0].count == 4_000_000)
        #expect(received.files[0].prefix(5).elementsEqual("begin".utf8))
        #expect(received.files[0][2_000_000..<2_000_006].elementsEqual("middle".utf8))
        #expect(received.files[0].count { $0 != 0 } == 11)
        for offset: UInt64 in [3, 1_000_000, 2_000_003, 3_000_000, 4_000_000] {
            let position = TransferPosition(file: 0, offset: offset)
            let rest = try fixture.bytes(of: try fixture.reader(tree, from: position))
            let due = [ExpectedFile(size: 4_000_000, offset: offset), ExpectedFile(size: 5)]
            let content = try fixture.decode(rest, of: tree, from: position, due: due)
            #expect(content.files[0].elementsEqual(received.files[0].dropFirst(Int(offset))))
        }
    }

    @Test func aFileThatHidesItsSizeIsReadToItsEnd() throws {
        let tree = try SourceTree.scan(["/proc/self/status"], SourceOptions()) { _ in }
        #expect(tree.size == nil)
        #expect(tree.summary.kind == .stream)
        #expect(tree.streamLength(from: .beginning, wantsByNote: false) == nil)
        for room in [1, 6, 100, 100_000] {
            let reader = try fixture.reader(tree)
            let received = try fixture.decode(try fixture.bytes(of: reader) { room }, of: tree)
            #expect(String(decoding: received.files[0], as: UTF8.self).contains("VmRSS"))
            #expect(reader.contentBytes == UInt64(received.files[0].count))
            #expect(reader.delivered == DeliveredCounts(entries: 1, bytes: reader.contentBytes))
        }
    }

    @Test func positionsBehindTheEndAreNone() throws {
        try fixture.write("12345", to: "a")
        try fixture.write("", to: "b")
        let tree = try fixture.scan(["a", "b"])
        for (file, offset, isCovered) in [
            (0, 5, true), (0, 6, false), (1, 0, true), (1, 1, false), (2, 0, true), (2, 1, false), (3, 0, false),
        ] as [(UInt64, UInt64, Bool)] {
            let position = TransferPosition(file: file, offset: offset)
            #expect(tree.covers(position) == isCovered)
            if !isCovered { #expect(throws: FileError.self) { try fixture.reader(tree, from: position) } }
        }
    }

    @Test func aClosedSourceIsNotRead() throws {
        try fixture.write("12345", to: "a")
        let tree = try fixture.scan(["a"])
        let reader = try fixture.reader(tree)
        tree.close()
        #expect(throws: FileError.self) { try fixture.bytes(of: reader) }
        #expect(throws: FileError.self) { try fixture.reader(tree) }
    }

    // MARK: - Standard input

    @Test func aPipeIsReadAsItComes() throws {
        let (reading, writing) = try pipe()
        let tree = try SourceTree.standardInput(name: "stdin", descriptor: reading.descriptor)
        #expect(tree.summary == OfferSummary(names: ["stdin"], entries: 1, kind: .stream))
        #expect(tree.readsPipe && tree.isRepeatable)
        try tree.recheck()
        let reader = try fixture.reader(tree)
        var stream = ByteBuffer()
        // The manifest does not wait for content.
        #expect(try reader.read(into: &stream, room: 1_000) == .flush)
        #expect(stream.readableBytes == Int(tree.catalogue.manifest.streamLength))
        #expect(tree.isRepeatable)
        write("abc", to: writing)
        #expect(try reader.read(into: &stream, room: 1_000) == .flush)
        #expect(reader.contentBytes == 3)
        #expect(!tree.isRepeatable)
        write("de", to: writing)
        #expect(try reader.read(into: &stream, room: 6) == .more)
        #expect(try reader.read(into: &stream, room: 4) == .more)
        close(writing.descriptor)
        while try reader.read(into: &stream, room: 3) != .end {}
        #expect(try fixture.decode(stream, of: tree).files == [Array("abcde".utf8)])
        #expect(reader.delivered == DeliveredCounts(entries: 1, bytes: 5))
        // A receiver that has all of it may still be told so; no other can be helped.
        #expect(tree.isRepeatable)
        try tree.recheck()
        let position = TransferPosition(file: 1, offset: 0)
        let rest = try fixture.bytes(of: try fixture.reader(tree, from: position))
        #expect(try fixture.decode(rest, of: tree, from: position, due: []).digest == tree.digest)
        #expect(tree.delivered(wanted: nil) == DeliveredCounts(entries: 1, bytes: 5))
        let error = #expect(throws: FileError.self) { try fixture.reader(tree) }
        #expect(error?.message.contains("second time") == true)
    }

    @Test func aPipeIsNotReadTwice() throws {
        let (reading, writing) = try pipe()
        defer { close(writing.descriptor) }
        let tree = try SourceTree.standardInput(name: "stdin", descriptor: reading.descriptor)
        write("abc", to: writing)
        var stream = ByteBuffer()
        #expect(try fixture.reader(tree).read(into: &stream, room: 1_000) == .flush)
        #expect(!tree.isRepeatable)
        for body in [{ try tree.recheck() }, { _ = try fixture.reader(tree) }] as [() throws -> Void] {
            let error = #expect(throws: FileError.self) { try body() }
            #expect(error?.message.contains("second time") == true)
        }
        #expect(!tree.covers(TransferPosition(file: 0, offset: 1)))
    }

    /// A receiver that has the manifest can say what it wants before it gets anything.
    @Test func notesMayComeEarly() throws {
        for name in ["t/a", "t/b"] { try fixture.write(name, to: name) }
        let tree = try fixture.scan(["t"])
        let position = TransferPosition(file: 0, offset: 1)
        let reader = try fixture.reader(tree, from: position, wantsByNote: true)
        try reader.want([WantedRun(skip: 1, take: 1)], isLast: true)
        let stream = try fixture.bytes(of: reader)
        let received = try fixture.decode(stream, of: tree, from: position, due: [ExpectedFile(size: 3)])
        #expect(received.files == [Array("t/b".utf8)])
        #expect(reader.contentBytes == 6)
        #expect(reader.delivered == DeliveredCounts(entries: 2, bytes: 3))
    }

    @Test func noNameOfStandardInputIsSentThatIsNone() {
        #expect(throws: FileError.self) { try SourceTree.standardInput(name: "a/b") }
    }

    /// Both ends of a pipe; the reading one is closed with the test.
    private func pipe() throws -> (reading: OpenFile, writing: PipeEnd) {
        var ends: [Int32] = [0, 0]
        try SystemError.check { Glibc.pipe(&ends) }
        // A process that another test starts must not hold an end as well.
        for end in ends { try SystemError.check { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        return (OpenFile(descriptor: ends[0]), PipeEnd(descriptor: ends[1]))
    }

    private struct PipeEnd { let descriptor: Int32 }

    private func write(_ text: String, to end: PipeEnd) {
        #expect(Glibc.write(end.descriptor, text, text.utf8.count) == text.utf8.count)
    }
}
