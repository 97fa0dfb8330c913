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

/// What is sent has to stay as it was.
struct SourceChangeTests {
    let fixture: SourceFixture

    init() throws { fixture = try SourceFixture() }

    /// How something is changed.
    enum Change: CaseIterable {
        case grown
        case cut
        case written
        case touched
        case replaced
        case removed
        case linked
        case moved
    }

    @Test(arguments: Change.allCases, [false, true])
    func aFileThatIsChangedBeforeItsTurnIsNotSent(_ change: Change, _ isInFolder: Bool) throws {
        let name = isInFolder ? "t/file" : "file"
        try fixture.write("12345", to: name)
        let tree = try fixture.scan([isInFolder ? "t" : name])
        try tree.recheck()
        let reader = try fixture.reader(tree)
        try apply(change, to: name)
        let word = "\"\(fixture.path(name))\" was changed, moved or removed"
        try expectChanged(word) { _ = try fixture.bytes(of: reader) }
        // And once more.
        try expectChanged(word) { _ = try fixture.bytes(of: reader) }
        try expectChanged(word) { try tree.recheck() }
        try expectChanged(word) { try tree.check([SourceSample(file: 0, block: 0, content: Array("12345".utf8))]) }
    }

    @Test(arguments: [
        (Change.grown, "grew"), (.cut, "became shorter"), (.written, "was written to"), (.touched, "was written to"),
    ])
    func aFileThatIsChangedWhileItIsReadIsReported(_ change: Change, _ word: String) throws {
        try fixture.write("12345", to: "t/log")
        let tree = try fixture.scan(["t"])
        let reader = try fixture.reader(tree)
        var stream = ByteBuffer()
        let start = Int(tree.catalogue.manifest.streamLength)
        #expect(try reader.read(into: &stream, room: start + 7) == .more)
        try apply(change, to: "t/log")
        try expectChanged("\"\(fixture.path("t/log"))\" \(word)") { _ = try reader.read(into: &stream, room: 1_000) }
        // Inside a record, nothing can be said; behind it, the receiver is told.
        let isTold = reader.writeReason(into: &stream)
        #expect(isTold == (change != .cut))
        guard isTold else { return }
        let error = #expect(throws: SealingError.self) { try fixture.decode(stream, of: tree) }
        #expect(error == .unreadable(change == .grown ? .grew : .changed))
        #expect(!reader.writeReason(into: &stream))
    }

    /// A file without content is not opened, but looked at all the same.
    @Test(arguments: Change.allCases)
    func anEmptyFileHasToStayEmpty(_ change: Change) throws {
        try fixture.write("", to: "t/empty")
        let tree = try fixture.scan(["t"])
        try apply(change, to: "t/empty")
        try expectChanged("t/empty\" was changed") { _ = try fixture.bytes(of: try fixture.reader(tree)) }
    }

    @Test func theReceiverIsToldWhyTheStreamEnds() throws {
        try fixture.write("1", to: "t/a")
        try fixture.write("2", to: "t/b")
        let tree = try fixture.scan(["t"])
        let reader = try fixture.reader(tree)
        #expect(unlink(fixture.path("t/b")) == 0)
        var stream = ByteBuffer()
        #expect(!reader.writeReason(into: &stream))
        try expectChanged("t/b\"") { _ = try reader.read(into: &stream, room: 1_000) }
        #expect(reader.contentBytes == 1)
        #expect(reader.writeReason(into: &stream))
        let error = #expect(throws: SealingError.self) { try fixture.decode(stream, of: tree) }
        #expect(error == .unreadable(.changed))
    }

    /// A folder that became a link leads nowhere else, however it is come by.
    @Test func aFolderThatBecomesALinkIsNotFollowed() throws {
        try fixture.write("secret", to: "outside/file")
        try fixture.write("public", to: "t/in/file")
        let tree = try fixture.scan(["t"])
        #expect(rename(fixture.path("t/in"), fixture.path("was")) == 0)
        #expect(symlink(fixture.path("was"), fixture.path("t/in")) == 0)
        try expectChanged("t/in/file\" was changed") { _ = try fixture.bytes(of: try fixture.reader(tree)) }
        try expectChanged("t/in\" was changed") { try tree.recheck() }
        // What only looks the same by its name is another file.
        #expect(unlink(fixture.path("t/in")) == 0)
        #expect(rename(fixture.path("outside"), fixture.path("t/in")) == 0)
        try expectChanged("t/in/file\" was changed") { _ = try fixture.bytes(of: try fixture.reader(tree)) }
    }

    /// What comes into a folder later is not part of what is sent, and no reason to begin again.
    @Test func aFolderMayGetMoreNames() throws {
        try fixture.write("1", to: "t/a")
        let tree = try fixture.scan(["t"])
        try fixture.write("2", to: "t/b")
        try tree.recheck()
        let received = try fixture.decode(try fixture.bytes(of: try fixture.reader(tree)), of: tree)
        #expect(received.paths == ["t/", "t/a"])
        #expect(try fixture.scan(["t"]).state != tree.state)
    }

    @Test func theFirstThatDiffersIsNamed() throws {
        for name in ["t/a", "t/b/c", "t/d"] { try fixture.write("x", to: name) }
        let tree = try fixture.scan(["t"])
        try apply(.written, to: "t/d")
        try apply(.written, to: "t/b/c")
        try expectChanged("t/b/c\"") { try tree.recheck() }
    }

    // MARK: - Samples

    @Test func theBlocksThatTheReceiverHasAreCompared() throws {
        let large = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        try fixture.temporary.write(Data(large), to: "large")
        try fixture.write("small", to: "t/small")
        let tree = try fixture.scan(["t", "large"])
        func sample(_ file: UInt64, _ block: UInt64, _ content: some Sequence<UInt8>) -> SourceSample {
            SourceSample(file: file, block: block, content: Array(content))
        }
        let blocks = (0..<4).map { (block: Int) -> SourceSample in
            sample(0, UInt64(block), large.dropFirst(block * 65_536).prefix(65_536))
        }
        try tree.check([])
        try tree.check([sample(1, 0, "small".utf8)] + blocks.reversed())
        try expectChanged("large\" is not what the receiver") { try tree.check(blocks + [sample(0, 4, "x".utf8)]) }
        try expectChanged("large\"") { try tree.check([sample(0, .max, "x".utf8)]) }
        try expectChanged("large\"") { try tree.check([sample(0, 1, large[0..<65_536])]) }
        try expectChanged("small\"") { try tree.check(blocks + [sample(1, 0, "smell".utf8)]) }
        try expectChanged("large\"") { try tree.check([sample(0, 4, [])]) }
        try expectChanged("small\"") { try tree.check([sample(1, 1, [])]) }
        try expectChanged("is not what the receiver") { try tree.check([sample(2, 0, "small".utf8)]) }
        let input = try SourceTree.standardInput(name: "stdin")
        try input.check([])
        try expectChanged("stdin\"") { try input.check([sample(0, 0, "x".utf8)]) }
    }

    // MARK: - What a later process compares

    @Test func theSameFilesHaveTheSameState() throws {
        try fixture.write("1", to: "t/a")
        try fixture.write("2", to: "t/b")
        let state = try fixture.scan(["t"]).state
        #expect(state.count == 32)
        #expect(try fixture.scan(["t"]).state == state)
        #expect(try fixture.scan(["t/"]).state == state)
        #expect(try fixture.scan(["t"], exclude: ["x"]).state != state)
        #expect(try fixture.scan(["t"], preserve: true).state != state)
        #expect(try fixture.scan(["t/a"]).state != state)
        #expect(try SourceTree.standardInput(name: "x").state != SourceTree.standardInput(name: "x").state)
        try apply(.written, to: "t/a")
        #expect(try fixture.scan(["t"]).state != state)
        #expect(try fixture.scan(["t"]).digest == fixture.scan(["t"]).digest)
    }

    @Test func pathsAreAbsolute() throws {
        try fixture.write("1", to: "t/a")
        #expect(try fixture.scan(["t"]).paths == [fixture.path("t")])
        #expect(
            try SourceTree.scan(["Sources/.."], SourceOptions(exclude: ["*/*"])) { _ in }.paths.first?.hasPrefix("/")
                == true)
    }

    /// When a disk or a limit fails, the client does not report that the file was changed.
    @Test func whatCannotBeOpenedAgainNeedNotHaveChanged() {
        for number in [ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO] { #expect(SourceFault.isChange(.init(code: number))) }
        for number in [EMFILE, ENFILE, EIO, EACCES, ENOMEM, ESTALE] {
            #expect(!SourceFault.isChange(.init(code: number)))
        }
    }

    // MARK: - Changing

    private func apply(_ change: Change, to name: String) throws {
        let path = fixture.path(name)
        switch change {
        case .grown: try rewrite(path, "123456")
        case .cut: try rewrite(path, "1234")
        case .written:
            let times = try OpenFile(path, flags: O_RDONLY).status()
            try rewrite(path, "54321")
            // As a program does that hides what it did: only the time of change tells.
            var old = [times.st_atim, times.st_mtim]
            #expect(utimensat(AT_FDCWD, path, &old, 0) == 0)
        case .touched:
            #expect(utimensat(AT_FDCWD, path, nil, 0) == 0)
        case .replaced:
            try fixture.write("12345", to: "other")
            #expect(rename(fixture.path("other"), path) == 0)
        case .removed: #expect(unlink(path) == 0)
        case .linked:
            #expect(rename(path, path + ".was") == 0)
            #expect(symlink(path + ".was", path) == 0)
        case .moved: #expect(rename(path, path + ".was") == 0)
        }
    }

    /// In place.
    private func rewrite(_ path: String, _ content: String) throws {
        let file = try OpenFile(path, flags: O_WRONLY)
        try SystemError.check { ftruncate(file.descriptor, off_t(content.utf8.count)) }
        #expect(pwrite(file.descriptor, content, content.utf8.count, 0) == content.utf8.count)
    }

    private func expectChanged(_ word: String, _ body: () throws -> Void) throws {
        let error = #expect(throws: FileError.self) { try body() }
        #expect(error?.code == .changed)
        #expect(error?.status.rawValue == 74)
        #expect(error?.failureCode == .sourceChanged)
        #expect(error?.message.contains(word) == true, "\(error?.message ?? "") has not \(word)")
    }
}
