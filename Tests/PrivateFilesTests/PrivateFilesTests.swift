// SPDX-License-Identifier: Apache-2.0

import Foundation
import PrivateFiles
import TestSupport
import Testing

@Suite("Files of one user")
struct PrivateFilesTests {
    private struct Killed: Error {}

    private let temporary: TemporaryDirectory

    init() throws { temporary = try TemporaryDirectory() }

    /// Runs `body` with the open folder.
    private func withFolder<Value>(_ body: (CInt) throws -> Value) throws -> Value {
        let folder = try SystemError.check { open(temporary.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { close(folder) }
        return try body(folder)
    }

    private func replace(_ text: String, reached: (AtomicFile.Step) throws -> Void = { _ in }) throws {
        try withFolder { folder in
            try AtomicFile.write(Data(text.utf8), to: "file", in: folder, by: "file.new", reached: reached)
        }
    }

    private func text() throws -> String { try String(contentsOfFile: temporary.file("file"), encoding: .utf8) }

    @Test("a file is replaced, readable for its owner only, and nothing else is left")
    func replaces() throws {
        for text in ["first", "", String(repeating: "x", count: 100_000)] {
            try replace(text)
            #expect(try self.text() == text)
            #expect(try TemporaryDirectory.mode(of: temporary.file("file")) == 0o600)
            #expect(try temporary.names(in: "") == ["file"])
        }
    }

    @Test("a kill between any two steps leaves the old contents or the new ones", arguments: AtomicFile.Step.allCases)
    func killed(step: AtomicFile.Step) throws {
        try replace("old")
        #expect(throws: Killed.self) { try replace("new contents") { if $0 == step { throw Killed() } } }
        let isNew = step == .renamed || step == .directorySynced
        #expect(try text() == (isNew ? "new contents" : "old"))
    }

    @Test("a leftover of a kill is an error, and is not written to")
    func leftover() throws {
        try temporary.write(Data("left".utf8), to: "file.new")
        let error = #expect(throws: SystemError.self) { try replace("new") }
        #expect(error?.code == EEXIST)
        #expect(try String(contentsOfFile: temporary.file("file.new"), encoding: .utf8) == "left")
    }

    @Test("a place that refuses keeps the name as it was")
    func place() throws {
        try replace("old")
        #expect(throws: Killed.self) {
            try withFolder { folder in
                try AtomicFile.write(Data(), to: "file", in: folder, by: "file.new", place: { throw Killed() })
            }
        }
        #expect(try text() == "old")
    }

    @Test("a folder is made for its owner alone, with what is missing above it; one that is there stays as it is")
    func folders() throws {
        try PrivateFolder.make(temporary.file("a/b/c"))
        for path in ["a", "a/b", "a/b/c"] {
            #expect(try TemporaryDirectory.mode(of: temporary.file(path)) == 0o700)
        }
        #expect(chmod(temporary.file("a/b"), 0o755) == 0)
        try PrivateFolder.make(temporary.file("a/b/c"))
        #expect(try TemporaryDirectory.mode(of: temporary.file("a/b")) == 0o755)
    }

    @Test("what stands in the way of a folder is named")
    func inTheWay() throws {
        try temporary.write(Data(), to: "file")
        let failure = #expect(throws: PrivateFolder.Failure.self) {
            try PrivateFolder.make(temporary.file("file/folder"))
        }
        #expect(failure?.path == temporary.file("file/folder"))
        #expect(failure?.error.code == ENOTDIR)
    }

    @Test("permissions beyond those allowed are seen, and taken away")
    func access() throws {
        try replace("secret")
        #expect(chmod(temporary.file("file"), 0o644) == 0)
        let file = try SystemError.check { open(temporary.file("file"), O_RDONLY | O_CLOEXEC) }
        defer { close(file) }
        let access = try FileAccess(of: file)
        #expect(access.isOwn && access.isRegular && access.exceeds(0o600) && !access.exceeds(0o644))
        try access.restrict(file, to: 0o600)
        #expect(try TemporaryDirectory.mode(of: temporary.file("file")) == 0o600)
    }

    @Test("a file that is too large is not read")
    func bounded() throws {
        try replace("12345")
        #expect(try BoundedFile.read(temporary.file("file"), limit: 5) == Data("12345".utf8))
        let error = #expect(throws: SystemError.self) { try BoundedFile.read(temporary.file("file"), limit: 4) }
        #expect(error?.code == EFBIG)
    }
}
