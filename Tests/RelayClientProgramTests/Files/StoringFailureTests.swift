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

/// Each call that stores a tree, failing in each way: what does no harm is said, and the tree is stored; otherwise
/// what has come is kept, and the error says where it is.
struct StoringFailureTests {
    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    /// What comes of a failure.
    enum End: Hashable, Sendable {
        /// Everything has its name, and so many remarks were made.
        case stored(remarks: Int)
        /// What has come is kept.
        case kept(FileError.Code)
    }

    /// Which calls fail, with what, and what comes of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let calls: FileCalls
        let end: End

        init(_ description: String, _ number: Int32, _ end: End, _ change: (inout FileCalls, Int32) -> Void) {
            var calls = ResumedTreeTests.calls
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
                Case("futimens", number, .stored(remarks: 1)) { calls, number in
                    calls.setTime = { _, _ in fail(number) }
                }
            )
            cases.append(
                Case("unlink", number, .stored(remarks: 1)) { calls, number in
                    calls.rename = { _, _, _, _ in fail(EINVAL) }
                    calls.remove = { _, _ in fail(number) }
                }
            )
            cases.append(
                Case("rename, link", number, .stored(remarks: 0)) { calls, number in
                    calls.rename = { _, _, _, _ in fail(number) }
                    calls.link = { _, _, _, _ in fail(number) }
                }
            )
            cases.append(
                Case("rename, link, replace", number, .kept(.cannotCreate)) { calls, number in
                    calls.rename = { _, _, _, _ in fail(number) }
                    calls.link = { _, _, _, _ in fail(number) }
                    calls.replace = { _, _, _, _ in fail(number) }
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
            cases.append(Case("fsync", number, file) { calls, number in calls.syncFile = { _ in fail(number) } })
            cases.append(
                Case("fsync, folder", number, name) { calls, number in calls.syncFolder = { _ in fail(number) } }
            )
        }
        for (number, end) in [(ENOSPC, End.kept(.noSpace)), (EDQUOT, .kept(.noSpace)), (EIO, .kept(.writeFailed))] {
            cases.append(Case("write", number, end) { calls, number in calls.write = failingLate(calls.write, number) })
        }
        return cases
    }()

    /// Fails from the second kilobyte of a file on.
    private static func failingLate(
        _ write: @escaping @Sendable (Int32, ByteBuffer, Int64) -> Int, _ number: Int32
    ) -> @Sendable (Int32, ByteBuffer, Int64) -> Int {
        { file, bytes, offset in
            guard bytes.readableBytes > 500, offset >= 1_000 else { return write(file, bytes, offset) }
            return Int(fail(number))
        }
    }

    private func parts(_ calls: FileCalls) -> ReceivedParts {
        ReceivedParts(directory: folder.directory, options: ReceivedOptions(keepsMetadata: true), calls: calls)
    }

    private func tree(isFolder: Bool) throws -> SentTree {
        var tree = SentTree()
        let parent = isFolder ? try tree.add("top") : nil
        let content = (0..<4_000).map { UInt8(truncatingIfNeeded: $0) }
        try tree.add("report.pdf", in: parent, content: content, mode: 0o644)
        return tree
    }

    @Test(arguments: cases) func eachFailureOfAFile(_ each: Case) throws {
        try check(each, try tree(isFolder: false), "report.pdf")
    }

    /// A folder has no second name by a link, and is confirmed with its file system.
    @Test(
        arguments: cases.filter { !$0.testDescription.hasPrefix("unlink") && !$0.testDescription.hasPrefix("fsync:") })
    func eachFailureOfAFolder(_ each: Case) throws { try check(each, try tree(isFolder: true), "top") }

    @Test(arguments: [(EIO, FileError.Code.writeFailed), (ENOSPC, .noSpace)])
    func aFileSystemThatDoesNotConfirmKeepsWhatIsWhole(_ number: Int32, _ code: FileError.Code) throws {
        let each = Case("syncfs", number, .kept(code)) { calls, number in calls.syncAll = { _ in fail(number) } }
        try check(each, try tree(isFolder: true), "top")
    }

    @Test func aSystemWithoutSyncfsConfirmsEachFile() throws {
        let each = Case("syncfs", ENOSYS, .stored(remarks: 0)) { calls, number in calls.syncAll = { _ in fail(number) }
        }
        try check(each, try tree(isFolder: true), "top")
    }

    private func check(_ each: Case, _ tree: SentTree, _ name: String) throws {
        let sink = try parts(each.calls).open(try tree.offer)
        var stored: StoredTransfer?
        let error = failure {
            try CarryingAttempt(tree: tree, piece: 1_000, checkpoints: .max).carry(into: sink)
            stored = try sink.finish()
        }
        switch each.end {
        case .stored(let count):
            #expect(error == nil && stored?.contents.map(\.path) == [folder.path + "/" + name])
            #expect(try TreeSnapshot(of: folder.path).entries == TreeSnapshot(of: tree).entries)
            #expect(folder.remarks.all.count == count, "\(folder.remarks.all)")
            sink.confirmed()
        case .kept(let code):
            #expect(error?.code == code && error?.failureCode == (code == .noSpace ? .noSpace : .cannotWrite))
            sink.keep()
            // Once there is room, it goes on.
            let again = try parts(ResumedTreeTests.calls).open(try tree.offer)
            #expect(again.position != .beginning)
            #expect(try CarryingAttempt(tree: tree).carry(into: again).isWhole)
            _ = try again.finish()
            again.confirmed()
            #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree))
        }
    }

    @Test func whatCannotGetItsNameIsKeptAndSaidWhere() throws {
        var calls = ResumedTreeTests.calls
        calls.rename = { _, _, _, _ in fail(EIO) }
        calls.link = { _, _, _, _ in fail(EIO) }
        calls.replace = { _, _, _, _ in fail(EIO) }
        let tree = try tree(isFolder: false)
        let sink = try parts(calls).open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let part = folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content/report.pdf"
        let error = failure { _ = try sink.finish() }
        #expect(error?.message.contains("\"\(part)\"") == true)
        // It is whole: that is not thrown away.
        sink.discard()
        #expect(try TreeSnapshot(of: (part as NSString).deletingLastPathComponent) == TreeSnapshot(of: tree))
    }

    /// A network's file system has done it and lost the answer.
    @Test(arguments: [ENOENT, EEXIST, EIO]) func aNameThatWasGivenAfterAllIsNotAFailure(_ number: Int32) throws {
        var calls = ResumedTreeTests.calls
        calls.rename = { [rename = calls.rename] folder, from, target, to in
            _ = rename(folder, from, target, to)
            return fail(number)
        }
        for isFolder in [true, false] {
            let tree = try tree(isFolder: isFolder)
            let sink = try parts(calls).open(try tree.offer)
            try CarryingAttempt(tree: tree).carry(into: sink)
            _ = try sink.finish()
            sink.confirmed()
        }
        #expect(try folder.listing() == ["report.pdf", "top"])
    }

    @Test func remarksAboutAFileSystemAreSaidOnce() throws {
        var calls = ResumedTreeTests.calls
        calls.setTime = { _, _ in fail(EPERM) }
        calls.syncFolder = { _ in fail(EINVAL) }
        for _ in 0..<3 {
            let tree = try SentTree.file("a")
            let sink = try parts(calls).open(try tree.offer)
            try CarryingAttempt(tree: tree).carry(into: sink)
            _ = try sink.finish()
            sink.confirmed()
        }
        #expect(folder.remarks.all.count == 2)
        #expect(try folder.listing() == ["a", "a (1)", "a (2)"])
    }

    // MARK: - Before content flows

    @Test func whatCannotFitIsRefusedBeforeAnythingIsMade() throws {
        var tree = SentTree()
        try tree.add("huge\n.bin", .file(size: .max / 2))
        let offer = try OfferedTransfer(
            transfer: tree.transfer, sender: tree.offer.sender, receiver: tree.offer.receiver,
            summary: OfferSummary(names: ["huge\n.bin"], entries: 1, bytes: .max / 2, kind: .file)
        )
        let late = failure { _ = try parts(ResumedTreeTests.calls).open(offer) }
        #expect(failure { try parts(ResumedTreeTests.calls).checkRoom(offer.summary) } == late)
        #expect(late?.code == .noSpace && late?.status.rawValue == 74 && late?.failureCode == .noSpace)
        #expect(late?.message.contains("\"huge\\n.bin\" needs 9.22 EB") == true)
        #expect(try folder.listing().isEmpty)
        try parts(ResumedTreeTests.calls).checkRoom(OfferSummary(names: ["a"], kind: .stream))
    }

    /// What is no hole counts, and the room of a file with holes is not asked for in advance.
    @Test func holesNeedNoRoom() throws {
        var calls = ResumedTreeTests.calls
        calls.reserve = { _, _, _ in
            Issue.record("room was asked for")
            return 0
        }
        var tree = SentTree()
        try tree.add("sparse", .file(size: .max / 2))
        func offer(holes: UInt64) throws -> OfferedTransfer {
            OfferedTransfer(
                transfer: tree.transfer, sender: try tree.offer.sender, receiver: try tree.offer.receiver,
                summary: OfferSummary(names: ["sparse"], entries: 1, bytes: .max / 2, holes: holes, kind: .file)
            )
        }
        #expect(failure { _ = try parts(calls).open(try offer(holes: .max / 8)) }?.code == .noSpace)
        let fitting = try offer(holes: .max / 2 - 4_096)
        try parts(calls).checkRoom(fitting.summary)
        try parts(calls).open(fitting).discard()
        // In little, as a whole.
        var content = [UInt8](repeating: 0, count: 3_000_000)
        // Written first, when most of it is still to come.
        content[0] = 1
        content[2_999_999] = 1
        let little = try SentTree.file("sparse", content)
        let offered = try OfferedTransfer(
            transfer: little.transfer, sender: little.offer.sender, receiver: little.offer.receiver,
            summary: OfferSummary(names: ["sparse"], entries: 1, bytes: 3_000_000, holes: 2_900_000, kind: .file)
        )
        let sink = try parts(calls).open(offered)
        try CarryingAttempt(tree: little).carry(into: sink)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try folder.listing() == ["sparse"])
    }

    /// A disk too small is found at the first byte.
    @Test func roomIsAskedForAtTheFirstByte() throws {
        var calls = ResumedTreeTests.calls
        calls.reserve = { _, offset, length in
            #expect(offset == 0 && length == 2_000_000)
            return fail(ENOSPC)
        }
        let tree = try SentTree.file("big", [UInt8](repeating: 1, count: 2_000_000))
        let sink = try parts(calls).open(try tree.offer)
        let error = failure { try CarryingAttempt(tree: tree).carry(into: sink) }
        #expect(error?.code == .noSpace && sink.receivedBytes == 0)
        sink.discard()
    }

    @Test func aNameThatIsRefusedIsNamedBeforeItIsAccepted() throws {
        var tree = SentTree()
        // No file system here takes it; the others are checked where they are probed.
        try tree.add(String(repeating: "n", count: 255), content: [1])
        let sink = try parts(ResumedTreeTests.calls).open(try tree.offer)
        sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    /// The person was asked about other names.
    @Test func whatWasNotOfferedIsNotTaken() throws {
        let offered = try SentTree.file("report.pdf", [1])
        for names in [["a"], ["report.pdf", "b"], []] {
            let other = try OfferedTransfer(
                transfer: offered.transfer, sender: offered.offer.sender, receiver: offered.offer.receiver,
                summary: OfferSummary(names: names, kind: .file)
            )
            let sink = try parts(ResumedTreeTests.calls).open(other)
            let error = failure { try CarryingAttempt(tree: offered).carry(into: sink) }
            #expect(error?.code == .changed && error?.message.contains("not what was offered") == true)
            sink.discard()
        }
        #expect(try folder.listing().isEmpty)
    }

    /// Where a file system may take two names for one, all are made first, and the first that cannot be is named.
    @Test func namesThatAreTheSameAreNamedBeforeContentFlows() throws {
        var tree = SentTree()
        let top = try tree.add("top")
        try tree.add("A.txt", in: top, content: [1])
        try tree.add("a.txt", in: top, content: [2])
        let parts = ReceivedParts(directory: folder.directory, options: ReceivedOptions()) { _ in false }
        let sink = try parts.open(try tree.offer)
        _ = try sink.acceptance()
        for entry in tree.entries { try sink.take(entry) }
        // As if the second name were taken for the first.
        let made = folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content/top"
        #expect(mkdir(made, 0o700) == 0)
        let digest = try digest(of: tree)
        let error = failure { _ = try sink.takeManifest(digest) }
        #expect(error?.code == .cannotCreate && error?.message.contains("cannot make \"top\"") == true)
        #expect(error?.message.contains("the same") == true)
        sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    private func digest(of tree: SentTree) throws -> ManifestDigest {
        var encoder = ManifestEncoder()
        var buffer = ByteBuffer()
        for entry in tree.entries { try encoder.write(entry, into: &buffer) }
        return encoder.soFar
    }

    /// Where all names were made first, a tree comes as elsewhere.
    @Test(arguments: SeededGenerator.seeds(15)) func treesWhoseNamesWereMadeFirstArrive(_ seed: UInt64) throws {
        let tree = try SentTree(seed: seed, hasLinks: true)
        let parts = ReceivedParts(
            directory: folder.directory, options: ReceivedOptions(keepsMetadata: true), calls: ResumedTreeTests.calls
        ) { _ in false }
        var generator = SeededGenerator(seed: seed)
        var before = TransferPosition.beginning
        for _ in 0..<4 {
            let sink = try parts.open(try tree.offer)
            // Empty files that are due have come with their names.
            #expect((sink.position.file, sink.position.offset) >= (before.file, before.offset), "seed \(seed)")
            try CarryingAttempt(tree: tree, piece: 1_000)
                .carry(into: sink, atMost: .random(in: 0...60_000, using: &generator))
            before = sink.position
            sink.keep()
        }
        let sink = try parts.open(try tree.offer)
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try TreeSnapshot(of: folder.path) == TreeSnapshot(of: tree, keepsLinks: true), "seed \(seed)")
    }

    @Test func aDiskIsProbedWithoutLeavingAnything() throws {
        let handle = try OpenFile(folder.path, flags: O_RDONLY | O_DIRECTORY)
        #expect(NameProbe.takesAllNames(handle))
        #expect(try folder.listing().isEmpty)
    }

    /// A folder that goes while files come, and so their parts.
    @Test func aFolderThatIsRemovedMeanwhileIsAnError() throws {
        let tree = try tree(isFolder: true)
        let sink = try parts(ResumedTreeTests.calls).open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink, atMost: 1_000)
        try FileManager.default.removeItem(atPath: folder.path)
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: false)
        let error = failure {
            try CarryingAttempt(tree: tree).carry(into: sink)
            _ = try sink.finish()
        }
        #expect(error?.code == .writeFailed && error?.message.contains("moved") == true)
        sink.discard()
        #expect(try folder.listing().isEmpty)
    }

    // MARK: - Standard output

    @Test func filesGoToStandardOutputOneBehindTheOther() throws {
        let path = folder.temporary.file("out")
        let file = try OpenFile(path, flags: O_WRONLY | O_CREAT, mode: 0o600)
        let sink = StandardOutputTransfer(descriptor: file.descriptor)
        var tree = SentTree()
        try tree.add("a", content: [1, 2, 3] + [UInt8](repeating: 0, count: 70_000))
        try tree.add("b", content: [4, 5], isKnown: false)
        #expect(sink.isRepeatable && sink.isAbandonable && !sink.hasContent)
        try CarryingAttempt(tree: tree).carry(into: sink, atMost: 50)
        #expect(!sink.hasContent)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let stored = try sink.finish()
        #expect(stored.contents.map(\.path) == ["-"] && stored.files == 2 && stored.bytes == 70_005)
        #expect(!sink.isRepeatable && sink.receivedBytes == 70_005)
        #expect(FileManager.default.contents(atPath: path).map { Array($0) } == tree.files.flatMap { $0 })
    }

    @Test func aFolderDoesNotGoToStandardOutput() throws {
        let sink = StandardOutputTransfer(descriptor: -1)
        let tree = try tree(isFolder: true)
        let early = failure { try StandardOutputTransfer.check(tree.summary) }
        let late = failure { try CarryingAttempt(tree: tree).carry(into: sink) }
        #expect(early == late && early?.code == .cannotCreate)
        #expect(early?.message.contains("\"top\" is a folder") == true)
    }

    /// It would be taken at once.
    @Test(.enabled(if: access("/dev/shm", W_OK) == 0)) func memoryIsNotReserved() throws {
        let path = "/dev/shm/relay-test-\(UInt64.random(in: 0 ... .max))"
        let file = try OpenFile(path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        unlink(path)
        #expect(FileCalls.system.reserve(file.descriptor, 0, 1 << 20) == 0)
        #expect(try file.status().st_blocks == 0)
    }

    @Test func aFullStandardOutputIsAnError() throws {
        let full = try OpenFile("/dev/full", flags: O_WRONLY)
        let sink = StandardOutputTransfer(descriptor: full.descriptor)
        let error = failure { try sink.write(ByteBuffer(string: "x")) }
        #expect(error?.code == .noSpace && error?.status.rawValue == 74)
    }
}

/// As a call of the system fails.
private func fail(_ number: Int32) -> Int32 {
    errno = number
    return -1
}
