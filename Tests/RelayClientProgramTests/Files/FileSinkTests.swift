// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import TransferClient

struct FileSinkTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    @Test func contentArrivesWhole() async throws {
        let content = (0..<3_000_000).map { number in UInt8(truncatingIfNeeded: number &* 2_654_435_761 >> 13) }
        let sink = try folder.directory.makeSink(offeredName: "big.bin", size: UInt64(content.count))
        var rest = content[...]
        while !rest.isEmpty {
            try await sink.write(ByteBuffer(bytes: rest.prefix(65_536)))
            rest = rest.dropFirst(65_536)
        }
        let path = try await sink.finish().path
        #expect(path == folder.path + "/big.bin")
        #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) == content)
        #expect(try folder.listing() == ["big.bin"])
    }

    @Test func manyTinyBuffersArriveWhole() async throws {
        let sink = try folder.directory.makeSink(offeredName: "tiny", size: nil)
        for _ in 0..<1_000 { try await sink.write(ByteBuffer(string: "x")) }
        #expect(try folder.content(try await sink.finish().path) == String(repeating: "x", count: 1_000))
    }

    @Test func anEmptyFileIsAFile() async throws {
        let sink = try folder.directory.makeSink(offeredName: "empty", size: 0)
        #expect(try folder.content(try await sink.finish().path).isEmpty)
    }

    @Test func fewerBytesThanReservedLeaveNoTail() async throws {
        let sink = try folder.directory.makeSink(offeredName: "short", size: 1_000_000)
        try await sink.write(ByteBuffer(string: "abc"))
        let path = try await sink.finish().path
        #expect(try folder.content(path) == "abc")
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_blocks * 512 < 1_000_000)
    }

    /// Peers' mistake 20: partial data never looks finished, and what others made is never touched.
    @Test func nothingHasTheFinalNameBeforeTheEnd() async throws {
        let sink = try folder.directory.makeSink(offeredName: "report.pdf", size: nil)
        try await sink.write(ByteBuffer(repeating: 1, count: 2 * Defaults.gatheredBytes))
        let partial = try #require(try folder.partial())
        #expect(partial.hasPrefix(".report.pdf."))
        #expect(try folder.listing() == [partial])
        var status = stat()
        #expect(stat(folder.path + "/" + partial, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        await sink.discard()
        await sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    /// Peers' mistake 20.
    @Test func aPartOfAnotherRunStays() async throws {
        try folder.temporary.write(Data("mine".utf8), to: "inbox/.report.pdf.part")
        try folder.temporary.write(Data("mine".utf8), to: "inbox/report.pdf.part")
        let sink = try folder.directory.makeSink(offeredName: "report.pdf", size: nil)
        await sink.discard()
        _ = try await folder.receive("report.pdf")
        #expect(try folder.listing() == [".report.pdf.part", "report.pdf", "report.pdf.part"])
        #expect(try folder.content(folder.path + "/report.pdf.part") == "mine")
    }

    @Test func aDiscardGoesThroughInACancelledTask() async throws {
        let sink = try folder.directory.makeSink(offeredName: "a", size: nil)
        let task = Task {
            withUnsafeCurrentTask { task in task?.cancel() }
            await sink.discard()
        }
        await task.value
        #expect(try folder.listing().isEmpty)
    }

    @Test func aForgottenSinkLeavesNothing() async throws {
        do {
            let sink = try folder.directory.makeSink(offeredName: "a", size: nil)
            try await sink.write(ByteBuffer(string: "x"))
        }
        #expect(try folder.listing().isEmpty)
    }

    @Test func afterTheEndNothingIsWritten() async throws {
        let sink = try folder.directory.makeSink(offeredName: "a", size: nil)
        let path = try await sink.finish().path
        #expect(await fileError { try await sink.write(ByteBuffer(string: "x")) }?.code == .writeFailed)
        #expect(await fileError { _ = try await sink.finish() }?.code == .writeFailed)
        await sink.discard()
        #expect(try folder.content(path).isEmpty)
    }

    @Test func nothingIsEverReplaced() async throws {
        try folder.temporary.write(Data("old".utf8), to: "inbox/a.txt")
        try FileManager.default.createDirectory(atPath: folder.path + "/a (1).txt", withIntermediateDirectories: false)
        #expect(symlink("/nowhere", folder.path + "/a (2).txt") == 0)
        #expect(symlink(folder.outside + "/victim", folder.path + "/a (3).txt") == 0)
        #expect(try await folder.receive("a.txt", "new") == folder.path + "/a (4).txt")
        #expect(try folder.content(folder.path + "/a.txt") == "old")
        #expect(try folder.outsideListing().isEmpty)
    }

    @Test func thirtyAtOnceOfOneNameAllArrive() async throws {
        let paths = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<30 { group.addTask { try await folder.receive("same.txt", "\(number)") } }
            return try await group.reduce(into: Set<String>()) { paths, path in paths.insert(path) }
        }
        #expect(paths.count == 30)
        #expect(Set(try paths.map(folder.content)) == Set((0..<30).map(String.init)))
    }

    @Test(arguments: NewName.Method.allCases) func noWayOfNamingReplaces(_ method: NewName.Method) throws {
        try folder.temporary.write(Data("new".utf8), to: "inbox/part")
        try folder.temporary.write(Data("old".utf8), to: "inbox/taken")
        #expect(symlink("/nowhere", folder.path + "/dangling") == 0)
        let directory = try OpenFile(folder.path, flags: O_RDONLY | O_DIRECTORY)
        #expect(try NewName.give("taken", to: "part", in: directory, by: [method]) == .taken)
        #expect(try NewName.give("dangling", to: "part", in: directory, by: [method]) == .taken)
        #expect(try folder.content(folder.path + "/taken") == "old")
        #expect(try NewName.give("free", to: "part", in: directory, by: [method]) == .given())
        #expect(try folder.listing() == ["dangling", "free", "taken"])
        #expect(throws: SystemError(code: ENOENT)) {
            try NewName.give("free2", to: "part", in: directory, by: [method])
        }
        #expect(try folder.listing() == ["dangling", "free", "taken"])
        #expect(try folder.content(folder.path + "/free") == "new")
    }

    /// Peers' mistake 4: links in the path, put there after the check.
    @Test func theFolderMayBeSwappedForALinkMeanwhile() async throws {
        let sink = try folder.directory.makeSink(offeredName: "a.txt", size: nil)
        try await sink.write(ByteBuffer(string: "content"))
        let moved = folder.temporary.file("moved")
        #expect(rename(folder.path, moved) == 0)
        #expect(symlink(folder.outside, folder.path) == 0)
        #expect(try await sink.finish().path == moved + "/a.txt")
        let error = await fileError { _ = try await folder.receive("b.txt") }
        #expect(error?.code == .cannotCreate)
        #expect(error?.message.contains("symbolic link") == true)
        #expect(try folder.outsideListing().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: moved) == ["a.txt"])
    }

    /// Peers' mistake 4: the unfinished file is swapped for a link, or for another file.
    @Test(arguments: [true, false]) func aSwappedPartIsNotTakenForOurs(_ isLink: Bool) async throws {
        try folder.temporary.write(Data("secret".utf8), to: "outside/victim")
        let sink = try folder.directory.makeSink(offeredName: "a.txt", size: nil)
        try await sink.write(ByteBuffer(string: "content"))
        let partial = folder.path + "/" + (try #require(try folder.partial()))
        #expect(unlink(partial) == 0)
        if isLink {
            #expect(symlink(folder.outside + "/victim", partial) == 0)
        } else {
            #expect(link(folder.outside + "/victim", partial) == 0)
        }
        let error = await fileError { _ = try await sink.finish() }
        #expect(error?.code == .writeFailed)
        #expect(error?.status.rawValue == 74)
        await sink.discard()
        #expect(try folder.listing().count == 1)
        #expect(try folder.listing().first?.hasSuffix(".part") == true)
        #expect(try folder.content(folder.outside + "/victim") == "secret")
    }

    /// Peers' mistakes 2 and 18: an archive is a file like any other, and no file can be run.
    @Test(arguments: ["run.sh", "a.zip", "a.tar.gz"]) func filesAreStoredAsTheyAre(_ name: String) async throws {
        let script = "#!/bin/sh\ntouch x\n"
        let path = try await folder.receive(name, script)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o111 == 0)
        #expect(status.st_mode & 0o777 == FileMode.ofNewFiles)
        #expect(try folder.listing() == [name])
        #expect(try folder.content(path) == script)
    }

    @Test func theModeIsTheOneOfAnyNewFile() throws {
        let path = folder.temporary.file("probe")
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o666)
        close(descriptor)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(FileMode.ofNewFiles == status.st_mode & 0o777)
    }
}
