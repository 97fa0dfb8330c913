// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct SourceTests {
    let temporary: TemporaryDirectory

    init() throws { temporary = try TemporaryDirectory() }

    @Test(arguments: [(1, 500), (7, 500), (65_536, 2_500_000), (1 << 20, 2_500_000), (Int.max, 2_500_000)])
    func aFileIsReadWhole(_ max: Int, _ size: Int) async throws {
        let content = (0..<size).map { number in UInt8(truncatingIfNeeded: number &* 31 >> 3) }
        let path = try temporary.write(Data(content), to: "a b.bin")
        let source = try FileSource.open(path)
        #expect(source.name == "a b.bin")
        #expect(source.size == UInt64(content.count))
        #expect(try await everything(source, max: max) == content)
        source.close()
    }

    @Test func anEmptyFileHasNoBytesAndASize() async throws {
        let source = try FileSource.open(try temporary.write(Data(), to: "empty"))
        #expect(source.size == 0)
        #expect(try await source.read(max: 10) == nil)
        #expect(try await source.read(max: 10) == nil)
    }

    @Test func aFileThatHidesItsSizeIsReadToItsEnd() async throws {
        let source = try FileSource.open("/proc/self/status")
        #expect(source.size == nil)
        #expect(String(decoding: try await everything(source, max: 100), as: UTF8.self).contains("VmRSS"))
    }

    @Test func linksThePersonNamesAreFollowed() async throws {
        let path = try temporary.write(Data("x".utf8), to: "target")
        #expect(symlink(path, temporary.file("link")) == 0)
        let source = try FileSource.open(temporary.file("link"))
        #expect(source.name == "link")
        #expect(source.size == 1)
    }

    @Test func aFileThatGrowsIsAnError() async throws {
        let path = try temporary.write(Data("12345".utf8), to: "log")
        let source = try FileSource.open(path)
        #expect(try await source.read(max: 2)?.readableBytes == 2)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("6".utf8))
        try handle.close()
        await expectChanged(source, "grew")
    }

    @Test func aFileThatIsCutIsAnError() async throws {
        let path = try temporary.write(Data("12345".utf8), to: "log")
        let source = try FileSource.open(path)
        #expect(try await source.read(max: 2)?.readableBytes == 2)
        #expect(truncate(path, 3) == 0)
        await expectChanged(source, "shorter")
    }

    @Test func aFileThatIsWrittenToIsAnError() async throws {
        let path = try temporary.write(Data("12345".utf8), to: "log")
        var times = [timeval(tv_sec: 1_000, tv_usec: 0), timeval(tv_sec: 1_000, tv_usec: 0)]
        #expect(utimes(path, &times) == 0)
        let source = try FileSource.open(path)
        #expect(try await source.read(max: 2)?.readableBytes == 2)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.write(contentsOf: Data("54321".utf8))
        try handle.close()
        await expectChanged(source, "written")
    }

    @Test func aFileIsReadAgainFromItsBeginning() async throws {
        let source = try FileSource.open(try temporary.write(Data("12345".utf8), to: "file"))
        #expect(try await source.read(max: 2)?.readableBytes == 2)
        try await source.rewind()
        #expect(try await everything(source) == Array("12345".utf8))
        try await source.rewind()
        #expect(try await everything(source) == Array("12345".utf8))
    }

    /// Whether it was read before or only looked at.
    @Test(arguments: ["written", "replaced", "removed"], [true, false])
    func aFileThatIsAnotherOneIsNotReadAgain(_ how: String, _ wasRead: Bool) async throws {
        let path = try temporary.write(Data("12345".utf8), to: "file")
        let source = try FileSource.open(path)
        if wasRead { #expect(try await source.read(max: 2)?.readableBytes == 2) }
        switch how {
        case "written": try Data("123456".utf8).write(to: URL(fileURLWithPath: path))
        case "replaced":
            let other = try temporary.write(Data("12345".utf8), to: "other")
            #expect(rename(other, path) == 0)
        default: #expect(unlink(path) == 0)
        }
        let errors = [
            await fileError { if wasRead { try await source.rewind() } else { _ = try await source.read(max: 2) } },
            await fileError { try await source.rewind() },
        ]
        for error in errors {
            #expect(error?.code == .changed)
            #expect(error?.message.contains("changed") == true)
        }
    }

    @Test func aPipeIsRepeatableUntilItIsRead() async throws {
        let (reading, writing) = try pipePair()
        defer { close(reading) }
        #expect(write(writing.descriptor, "x", 1) == 1)
        close(writing)
        let source = StandardInputSource(descriptor: reading.descriptor)
        #expect(source.isRepeatable)
        try await source.rewind()
        #expect(try await everything(source) == [0x78])
        #expect(!source.isRepeatable)
        let error = await fileError { try await source.rewind() }
        #expect(error?.message.contains("second time") == true)
    }

    private func expectChanged(_ source: FileSource, _ word: String) async {
        let error = await fileError { _ = try await everything(source) }
        #expect(error?.code == .changed)
        #expect(error?.status.rawValue == 74)
        #expect(error?.failureCode == .sourceChanged)
        #expect(error?.message.contains(word) == true)
    }

    @Test func aPathThatCannotBeSentIsAnErrorWithAdvice() async throws {
        #expect(mkfifo(temporary.file("pipe"), 0o600) == 0)
        let words = [
            temporary.path: "sends files only", temporary.path + "/": "sends files only", "/": "sends files only",
            temporary.file("missing"): "no such file", temporary.file("caf\u{fffd}"): "not UTF-8",
            temporary.file("missing\u{1b}"): "\\u{1b}",
            temporary.file("pipe"): "standard input", "/dev/null": "standard input", "": "no such file",
        ]
        for (path, word) in words {
            let error = await fileError { _ = try FileSource.open(path) }
            #expect(error?.code == .cannotRead)
            #expect(error?.status.rawValue == 66)
            #expect(error?.message.contains(word) == true, "\(path)")
            #expect(error?.message.unicodeScalars.contains(where: DisplayName.isDangerous) == false)
        }
    }

    @Test func aClosedSourceIsNotRead() async throws {
        let source = try FileSource.open(try temporary.write(Data("x".utf8), to: "a"))
        source.close()
        #expect(await fileError { _ = try await source.read(max: 1) }?.code == .readFailed)
    }

    @Test func standardInputIsReadAsItComes() async throws {
        let (reading, writing) = try pipePair()
        let source = StandardInputSource(descriptor: reading.descriptor)
        #expect(source.size == nil)
        #expect(write(writing.descriptor, "abc", 3) == 3)
        #expect(try await source.read(max: 1_000).map { String(buffer: $0) } == "abc")
        #expect(write(writing.descriptor, "de", 2) == 2)
        #expect(try await source.read(max: 1).map { String(buffer: $0) } == "d")
        #expect(try await source.read(max: 1).map { String(buffer: $0) } == "e")
        close(writing)
        #expect(try await source.read(max: 1) == nil)
    }

    @Test func aReadThatBlocksIsLeftWhenTheTaskIsCancelled() async throws {
        let (reading, writing) = try pipePair()
        let source = StandardInputSource(descriptor: reading.descriptor)
        let task = Task { try await source.read(max: 1) }
        task.cancel()
        await #expect(throws: ClientError.interrupted) { try await task.value }
        close(writing)
    }

    /// When a disk or a limit fails, the client does not report that the file was changed.
    @Test func whatCannotBeOpenedAgainNeedNotHaveChanged() {
        for number in [ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO] { #expect(FileSource.isChange(.init(code: number))) }
        for number in [EMFILE, ENFILE, EIO, EACCES, ENOMEM, ESTALE] {
            #expect(!FileSource.isChange(.init(code: number)))
        }
    }

    @Test func standardOutputGetsEverythingAndTellsOfAGoneReader() async throws {
        let (reading, writing) = try pipePair()
        signal(SIGPIPE, SIG_IGN)  // As the program does at its start.
        let sink = StandardOutputSink(descriptor: writing.descriptor)
        try await sink.write(ByteBuffer(string: "abc"))
        #expect(try await sink.finish().path == "-")
        var space = [UInt8](repeating: 0, count: 10)
        #expect(read(reading.descriptor, &space, 10) == 3)
        close(reading)
        let error = await fileError { try await sink.write(ByteBuffer(string: "abc")) }
        #expect(error?.code == .writeFailed)
    }

    /// Both ends of a pipe.
    private func pipePair() throws -> (PipeEnd, PipeEnd) {
        var ends: [Int32] = [0, 0]
        try SystemError.check { pipe(&ends) }
        // A process that another test starts must not hold an end as well.
        for end in ends { try SystemError.check { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        return (PipeEnd(descriptor: ends[0]), PipeEnd(descriptor: ends[1]))
    }

    private func close(_ end: PipeEnd) { _ = Glibc.close(end.descriptor) }

    private struct PipeEnd { let descriptor: Int32 }
}
