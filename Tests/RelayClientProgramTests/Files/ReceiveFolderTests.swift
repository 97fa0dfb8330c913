// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Which folder receives what while others move, remove and make folders under the same path; and that what is told
/// about a file names that file.
struct ReceiveFolderTests {
    let folder: ReceivedFolder
    let moved: String
    private let parts: ReceivedParts

    init() throws {
        folder = try ReceivedFolder()
        moved = folder.temporary.file("moved")
        parts = ReceivedParts(directory: folder.directory, options: ReceivedOptions())
    }

    /// One file on its way: everything of it is carried by ``finish()``.
    private struct Coming {
        let attempt: CarryingAttempt
        let sink: ReceivedTree

        init(_ tree: SentTree, into parts: ReceivedParts) throws {
            attempt = CarryingAttempt(tree: tree)
            sink = try parts.open(try tree.offer)
        }

        func carry() throws { try attempt.carry(into: sink) }

        func finish() throws -> StoredContent {
            if sink.position == .beginning { try carry() }
            let stored = try sink.finish()
            sink.confirmed()
            return try #require(stored.contents.first)
        }
    }

    private func open(_ content: String = "received") throws -> Coming {
        try Coming(try SentTree.file("f", Array(content.utf8)), into: parts)
    }

    /// Receives a file called f, and returns where it is.
    private func receive(_ content: String) throws -> String { try open(content).finish().path }

    /// Each step between the acceptance and the end at which the folder may be swapped for another one.
    enum Moment: CaseIterable { case beforeTheFirstByte, beforeTheEnd, afterTheEnd }

    @Test(arguments: Moment.allCases) func whatIsUnderWayIsToldWhereItIs(_ moment: Moment) async throws {
        let coming = try open()
        if moment == .beforeTheFirstByte { try swap() }
        try coming.carry()
        if moment == .beforeTheEnd { try swap() }
        let stored = try coming.finish()
        if moment == .afterTheEnd { try swap() }
        let path = try #require(stored.currentPath())
        #expect(path == moved + "/f")
        #expect(try folder.content(path) == "received")
        #expect(stored.path == (moment == .afterTheEnd ? folder.path : moved) + "/f")
        // The next one goes where the path leads, and gets a name of its own there.
        #expect(try receive("next") == folder.path + "/f (1)")
        #expect(try folder.content(folder.path + "/f") == "OTHER")
        #expect(folder.remarks.all.count == 1)
    }

    @Test func whatReplacedTheFileIsNotIt() async throws {
        let stored = try open().finish()
        #expect(unlink(folder.path + "/f") == 0)
        #expect(symlink(folder.outside, folder.path + "/f") == 0)
        #expect(stored.currentPath() == nil)
        let finished = try finished(stored)
        let touch = try FileCommand("touch '\(folder.outside)/ran'")
        #expect(await finished.run(touch)?.contains("not run") == true)
        #expect(try folder.outsideListing().isEmpty)
    }

    @Test func theCommandIsToldWhereTheFileIsNow() async throws {
        let stored = try open().finish()
        try swap()
        let finished = try finished(stored)
        let tell = try FileCommand(shell: "printf %s \"$RELAY_FILE\" >'\(folder.outside)/told'")
        #expect(await finished.run(tell) == nil)
        #expect(try folder.content(folder.outside + "/told") == moved + "/f")
    }

    @Test func aFolderThatIsRemovedIsSaidBeforeBytesFlowAndHealsOnceItIsThere() async throws {
        let output = ReceiveOutput.folder(parts)
        let offer = try SentTree.file("f").offer
        #expect(rmdir(folder.path) == 0)
        let (asked, accepted) = (
            await fileError { try output.checkRoom(offer.summary) },
            await fileError { _ = try output.open(offer) }
        )
        for error in [asked, accepted] {
            #expect(error?.code == .cannotCreate && error?.failureCode == .cannotWrite)
            #expect(error?.message.contains("does not exist") == true)
        }
        try make(folder.path)
        #expect(try receive("healed") == folder.path + "/f")
        #expect(try folder.content(folder.path + "/f") == "healed")
    }

    @Test func aFolderThatIsMovedAwayAndBackIsTheSame() async throws {
        #expect(rename(folder.path, moved) == 0)
        #expect(await fileError { _ = try receive("one") }?.code == .cannotCreate)
        #expect(try FileManager.default.contentsOfDirectory(atPath: moved).isEmpty)
        #expect(rename(moved, folder.path) == 0)
        #expect(try receive("two") == folder.path + "/f")
        #expect(folder.remarks.all.isEmpty)
    }

    /// A folder may be called like what the kernel says of one that was removed.
    @Test func deletedIsANameLikeAnyOther() async throws {
        let path = folder.path + "/x (deleted)"
        try make(path)
        let handle = try ReceiveFolder(path)
        #expect(rename(path, folder.path + "/y (deleted)") == 0)
        #expect(handle.currentPath() == folder.path + "/y (deleted)")
        #expect(rmdir(folder.path + "/y (deleted)") == 0)
        try make(folder.path + "/y (deleted) (deleted)")
        #expect(handle.currentPath() == nil)
    }

    /// No link is followed that was not there when the person named the folder, wherever in the path it is.
    @Test func aLinkAboveTheFolderIsNotFollowed() async throws {
        let inner = folder.path + "/inner"
        try make(inner)
        let directory = try ReceiveDirectory.open(inner)
        try make(folder.outside + "/inner")
        #expect(rename(folder.path, moved) == 0)
        #expect(symlink(folder.outside, folder.path) == 0)
        let parts = ReceivedParts(directory: directory, options: ReceivedOptions())
        let error = await fileError { _ = try parts.open(try SentTree.file("f").offer) }
        #expect(error?.message.contains("symbolic link") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.outside + "/inner").isEmpty)
    }

    @Test func aLinkThatThePersonNamedIsFollowed() async throws {
        let link = folder.temporary.file("link")
        #expect(symlink(folder.path, link) == 0)
        let directory = try ReceiveDirectory.open(link)
        #expect(directory.path == folder.path)
        let parts = ReceivedParts(directory: directory, options: ReceivedOptions())
        #expect(try Coming(try SentTree.file("f"), into: parts).finish().path == folder.path + "/f")
    }

    /// Files come while the folder is swapped again and again: each is where it is said to be.
    @Test func eachFileIsWhereItIsSaidToBe() async throws {
        let swapping = Task {
            for number in 0..<200 {
                rename(folder.path, moved + "\(number)")
                mkdir(folder.path, 0o700)
                await Task.yield()
            }
        }
        var stored: [(String, StoredContent)] = []
        for number in 0..<200 {
            do {
                stored.append(("\(number)", try open("\(number)").finish()))
                await Task.yield()
            } catch let error as FileError where error.code == .cannotCreate {
                // There was no folder at that moment.
            }
        }
        await swapping.value
        #expect(!stored.isEmpty)
        for (content, file) in stored { #expect(try folder.content(try #require(file.currentPath())) == content) }
    }

    private func finished(_ content: StoredContent) throws -> FinishedFile {
        FinishedFile(content: content, from: try #require(PeerName(rawValue: "alice")), size: 0, transfer: .random())
    }

    private func swap() throws {
        #expect(rename(folder.path, moved) == 0)
        try make(folder.path)
        try folder.temporary.write(Data("OTHER".utf8), to: "inbox/f")
    }

    private func make(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }
}
