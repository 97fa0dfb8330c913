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

/// Each call after the content was verified, failing in each way: what does no harm is said, and the file is stored;
/// what does keeps the content, and the error says where it is.
struct CompletionTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    /// What comes of a failure.
    enum End: Hashable, Sendable {
        /// The file has its name, and so many remarks were made.
        case stored(remarks: Int)
        /// The content is kept under the part's name.
        case kept(FileError.Code)
    }

    /// Which calls fail, with what, and what comes of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let calls: FileCalls
        let end: End

        init(_ description: String, _ number: Int32, _ end: End, _ change: (inout FileCalls, Int32) -> Void) {
            var calls = FileCalls()
            change(&calls, number)
            testDescription = "\(description): \(SystemError(code: number).phrase)"
            self.calls = calls
            self.end = end
        }
    }

    static let cases: [Case] = {
        var cases: [Case] = []
        for number in [EPERM, EACCES, ENOSYS, EOPNOTSUPP, EROFS, EIO] {
            cases.append(
                Case("fchmod", number, .stored(remarks: 1)) { calls, number in calls.setMode = { _, _ in fail(number) }
                }
            )
            cases.append(
                Case("unlink", number, .stored(remarks: 1)) { calls, number in
                    calls.rename = { _, _, _ in fail(EINVAL) }
                    calls.remove = { _, _ in fail(number) }
                }
            )
            cases.append(
                Case("rename, link", number, .stored(remarks: 0)) { calls, number in
                    calls.rename = { _, _, _ in fail(number) }
                    calls.link = { _, _, _ in fail(number) }
                }
            )
            cases.append(
                Case("rename, link, replace", number, .kept(.cannotCreate)) { calls, number in
                    calls.rename = { _, _, _ in fail(number) }
                    calls.link = { _, _, _ in fail(number) }
                    calls.replace = { _, _, _ in fail(number) }
                }
            )
        }
        let remarked = End.stored(remarks: 1)
        for (number, file, name) in [
            (EINVAL, remarked, remarked), (ENOSYS, remarked, remarked), (EPERM, remarked, remarked),
            (EROFS, remarked, remarked),
            (EIO, .kept(.writeFailed), remarked), (ESTALE, .kept(.writeFailed), remarked),
            (ENOSPC, .kept(.noSpace), remarked), (EDQUOT, .kept(.noSpace), remarked),
        ] {
            cases.append(Case("fsync, file", number, file) { calls, number in calls.syncFile = { _ in fail(number) } })
            cases.append(
                Case("fsync, folder", number, name) { calls, number in calls.syncFolder = { _ in fail(number) } }
            )
        }
        let truncation = Case("ftruncate", EPERM, .stored(remarks: 0)) { calls, number in
            calls.truncate = { _, _ in fail(number) }
        }
        cases.append(truncation)
        return cases
    }()

    @Test(arguments: cases) func eachFailureAfterVerification(_ each: Case) async throws {
        let sink = try folder.directory.makeSink(offeredName: "report.pdf", size: 100, calls: each.calls)
        try await sink.write(ByteBuffer(string: "content"))
        let final = folder.path + "/report.pdf"
        var stored: StoredContent?
        let error = await fileError { stored = try await sink.finish() }
        await sink.discard()
        switch each.end {
        case .stored(let count):
            #expect(stored?.path == final && stored?.currentPath() == final)
            #expect(try folder.content(final) == "content")
            #expect(folder.remarks.all.count == count)
        case .kept(let code):
            let partial = folder.path + "/" + (try #require(try folder.partial()))
            #expect(error?.code == code && error?.failureCode == (code == .noSpace ? .noSpace : .cannotWrite))
            #expect(error?.message.contains("\"\(partial)\"") == true)
            #expect(try folder.content(partial) == "content")
            #expect(try folder.listing().count == 1)
        }
    }

    @Test func remarksAboutAFileSystemAreSaidOnce() async throws {
        var calls = FileCalls()
        calls.setMode = { _, _ in fail(EPERM) }
        calls.syncFolder = { _ in fail(EINVAL) }
        for _ in 0..<3 {
            _ = try await folder.directory.makeSink(offeredName: "a", size: nil, calls: calls).finish()
        }
        #expect(folder.remarks.all.count == 2)
        #expect(try folder.listing() == ["a", "a (1)", "a (2)"])
    }

    /// A network's file system has done it and lost the answer, then says that the part is not there, or the name
    /// taken.
    @Test(arguments: [ENOENT, EEXIST, EIO]) func aNameThatWasGivenAfterAllIsNotAFailure(_ number: Int32) async throws {
        var calls = FileCalls()
        let rename = calls.rename
        calls.rename = { folder, from, to in
            _ = rename(folder, from, to)
            return fail(number)
        }
        let sink = try folder.directory.makeSink(offeredName: "a", size: nil, calls: calls)
        #expect(try await sink.finish().path == folder.path + "/a")
        #expect(try folder.listing() == ["a"])
    }

    @Test func whatWasMovedMeanwhileIsNamed() async throws {
        let sink = try folder.directory.makeSink(offeredName: "a", size: nil)
        try await sink.write(ByteBuffer(string: "content"))
        let partial = folder.path + "/" + (try #require(try folder.partial()))
        let moved = folder.outside + "/moved"
        #expect(Glibc.rename(partial, moved) == 0)
        let error = await fileError { _ = try await sink.finish() }
        #expect(error?.code == .writeFailed)
        #expect(error?.message.contains("\"\(moved)\"") == true)
        await sink.discard()
        #expect(try folder.content(moved) == "content")
    }
}

/// As a call of the system fails.
private func fail(_ number: Int32) -> Int32 {
    errno = number
    return -1
}
