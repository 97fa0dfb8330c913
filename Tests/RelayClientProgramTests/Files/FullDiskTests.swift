// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Places where nothing can be written: each is an error in words, with its exit code, and nothing is left behind.
struct FullDiskTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    @Test func whatCannotFitIsRefusedBeforeAnythingIsMade() async throws {
        let error = await fileError { _ = try folder.directory.makeSink(offeredName: "huge\n.bin", size: .max) }
        #expect(error?.code == .noSpace)
        #expect(error?.status.rawValue == 74)
        #expect(error?.failureCode == .noSpace)
        #expect(error?.message.contains("18.4 EB") == true)
        #expect(error?.message.contains("\n") == false)
        #expect(try folder.listing().isEmpty)
    }

    @Test func freeSpaceIsCheckedBeforeThePersonIsAsked() async throws {
        let output = ReceiveOutput.folder(folder.directory)
        let early = await fileError { try output.checkRoom(name: "huge\n.bin", size: .max) }
        let late = await fileError { _ = try output.makeSink(name: "huge\n.bin", size: .max) }
        #expect(early?.code == .noSpace && early == late)
        try output.checkRoom(name: "small", size: 1)
        // Neither is known to be too large.
        try output.checkRoom(name: "stdin", size: nil)
        try ReceiveOutput.standardOutput.checkRoom(name: "huge", size: .max)
        #expect(try folder.listing().isEmpty)
    }

    @Test func freeSpaceIsKnown() throws {
        #expect(try #require(folder.directory.folder().freeSpace()) > 0)
    }

    /// A real file system that fills up while content of unknown size comes. Without the right to mount one, one that
    /// every Linux has is asked for more than it can ever hold.
    @Test func aDiskThatFillsUpIsAnErrorAndLeavesNothing() async throws {
        let mounted = try run("/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path)
        defer { if mounted { _ = try? run("/bin/umount", "-l", folder.path) } }
        let path = mounted ? folder.path : "/dev/shm"
        let handle = try ReceiveFolder(path)
        var space = statvfs()
        #expect(statvfs(path, &space) == 0)
        let size: UInt64? = mounted ? nil : UInt64(space.f_blocks) * UInt64(space.f_frsize) + 1_000_000
        let name = SafeFileName(offered: "full-\(UUID().uuidString).bin")
        let sink = try FileSink(name: name, size: size, folder: handle, remarks: Remarks { _ in })
        let error = await fileError {
            for _ in 0..<64 { try await sink.write(ByteBuffer(repeating: 7, count: 65_536)) }
            _ = try await sink.finish()
        }
        #expect(error?.code == .noSpace)
        #expect(error?.status.rawValue == 74)
        #expect(error?.message.contains("full") == true)
        await sink.discard()
        let left = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(!left.contains { entry in entry.contains(name.text) })
    }

    @Test func aFullStandardOutputIsAnError() async throws {
        let full = try OpenFile("/dev/full", flags: O_WRONLY)
        let sink = StandardOutputSink(descriptor: full.descriptor)
        let error = await fileError { try await sink.write(ByteBuffer(string: "x")) }
        #expect(error?.code == .noSpace)
        #expect(error?.status.rawValue == 74)
    }

    /// No user may make files in /proc, not even root.
    @Test func aReadOnlyFolderIsAnErrorBeforeAnythingIsAccepted() async {
        let error = await fileError {
            _ = try ReceiveDirectory.open("/proc/self").makeSink(offeredName: "a", size: 1)
        }
        #expect(error?.code == .cannotCreate)
        #expect(error?.status.rawValue == 73)
        #expect(error?.failureCode == .cannotWrite)
    }

    @Test func aPathThatIsNoFolderIsAnErrorWithAdvice() async throws {
        let file = try folder.temporary.write(Data(), to: "file")
        let missing = await fileError { _ = try ReceiveDirectory.open(folder.path + "/missing") }
        #expect(missing?.status.rawValue == 73)
        #expect(missing?.message.contains("does not exist") == true)
        let notAFolder = await fileError { _ = try ReceiveDirectory.open(file) }
        #expect(notAFolder?.status.rawValue == 73)
        #expect(notAFolder?.message.contains("not a folder") == true)
    }

    private func run(_ arguments: String...) throws -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
