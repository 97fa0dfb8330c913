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

/// Of the calling thread alone; permissions are then those of that user.
@_silgen_name("setfsuid") private func setFileUser(_ user: uid_t) -> Int32

struct SourceScanTests {
    let fixture: SourceFixture

    init() throws { fixture = try SourceFixture() }

    // MARK: - What is found

    @Test func foldersAreInTheOrderOfNamesBytes() throws {
        for name in ["t/b/x", "t/a.b", "t/a/2", "t/a/10", "t/é", "t/Z", "t/b-", "t/.h"] {
            try fixture.write("of \(name)", to: name)
        }
        try fixture.folder("t/empty/within")
        let received = try fixture.receive(["t"])
        #expect(
            received.paths == [
                "t/", "t/.h", "t/Z", "t/a/", "t/a/10", "t/a/2", "t/a.b", "t/b/", "t/b/x", "t/b-", "t/empty/",
                "t/empty/within/", "t/é",
            ]
        )
        for (path, content) in received.contents { #expect(content == Array("of \(path)".utf8)) }
        #expect(received.contents.count == 8)
    }

    @Test func severalAreOneTransfer() throws {
        for name in ["z.txt", "one/b/file", "a.txt"] { try fixture.write("of \(name)", to: name) }
        let tree = try fixture.scan(["z.txt", "one/b/", "a.txt"])
        #expect(tree.name == "a.txt and 2 others")
        #expect(tree.summary.names == ["a.txt", "b", "z.txt"])
        #expect(tree.summary.kind == .several)
        #expect(tree.summary.entries == 4)
        #expect(tree.summary.bytes == 29)
        #expect(tree.size == 29)
        let received = try fixture.decode(try fixture.bytes(of: try fixture.reader(tree)), of: tree)
        #expect(received.paths == ["a.txt", "b/", "b/file", "z.txt"])
        #expect(received.contents["b/file"] == Array("of one/b/file".utf8))
        #expect(received.digest == tree.digest)
    }

    @Test func oneFileIsOneFile() throws {
        try fixture.write("12345", to: "report.pdf")
        let tree = try fixture.scan(["report.pdf"])
        #expect(tree.name == "report.pdf")
        #expect(tree.summary == OfferSummary(names: ["report.pdf"], entries: 1, bytes: 5, kind: .file))
        try fixture.folder("empty")
        #expect(
            try fixture.scan(["empty"]).summary == OfferSummary(names: ["empty"], entries: 1, bytes: 0, kind: .folder))
        try fixture.write("", to: "second")
        #expect(try fixture.scan(["second", "report.pdf"]).name == "report.pdf and 1 other")
    }

    @Test func onlyTheFirstNamesAreOffered() throws {
        for number in 10..<30 { try fixture.write("", to: "\(number)") }
        let tree = try fixture.scan((10..<30).map { "\($0)" })
        #expect(tree.summary.names == (10..<18).map { "\($0)" })
        #expect(tree.name == "10 and 19 others")
    }

    @Test func timesAreThoseOfTheDisk() throws {
        try fixture.write("x", to: "t/new")
        try fixture.write("x", to: "t/old")
        set(time: timespec(tv_sec: -1_000, tv_nsec: 999_999_999), of: "t/old")
        set(time: timespec(tv_sec: 1_700_000_000, tv_nsec: 123_456_789), of: "t/new")
        set(time: timespec(tv_sec: 5, tv_nsec: 0), of: "t")
        let entries = try fixture.receive(["t"]).entries
        #expect(entries.map(\.seconds) == [5, 1_700_000_000, -1_000])
        #expect(entries.map(\.nanoseconds) == [0, 123_456_789, 999_999_999])
        #expect(entries.allSatisfy { $0.mode == nil })
    }

    @Test func permissionsAndLinksAreSentWhenAskedFor() throws {
        try fixture.write("x", to: "t/run.sh")
        #expect(chmod(fixture.path("t/run.sh"), 0o4751) == 0)
        #expect(chmod(fixture.path("t"), 0o710) == 0)
        #expect(symlink("../../nowhere", fixture.path("t/link")) == 0)
        #expect(symlink("/etc", fixture.path("t/etc")) == 0)
        let told = SourceFixture.Told()
        let tree = try fixture.scan(["t"], preserve: true, told: told)
        let received = try fixture.decode(try fixture.bytes(of: try fixture.reader(tree)), of: tree)
        #expect(received.paths == ["t/", "t/etc -> /etc", "t/link -> ../../nowhere", "t/run.sh"])
        #expect(received.entries[0].mode == 0o710)
        #expect(received.entries[3].mode == 0o751)
        #expect(told.all.isEmpty)
    }

    @Test func linksInFoldersAreNotFollowed() throws {
        try fixture.write("secret", to: "outside/secret")
        try fixture.folder("t")
        #expect(symlink(fixture.path("outside"), fixture.path("t/folder")) == 0)
        #expect(symlink(fixture.path("outside/secret"), fixture.path("t/file")) == 0)
        let told = SourceFixture.Told()
        #expect(try fixture.scan(["t"], told: told).summary.entries == 1)
        #expect(told.all.count == 2)
        for (sentence, name) in zip(told.all, ["t/file", "t/folder"]) {
            #expect(sentence.contains("\"\(fixture.path(name))\""))
            #expect(sentence.contains("--preserve"))
        }
    }

    @Test(arguments: [false, true])
    func linksThatThePersonNamesAreFollowed(_ preserve: Bool) throws {
        try fixture.write("inner", to: "real/inner")
        try fixture.write("x", to: "file")
        #expect(symlink("real", fixture.path("photos")) == 0)
        #expect(symlink("file", fixture.path("latest")) == 0)
        let received = try fixture.receive(["photos", "latest"], preserve: preserve)
        #expect(received.paths == ["latest", "photos/", "photos/inner"])
        #expect(received.contents["photos/inner"] == Array("inner".utf8))
    }

    @Test func theRealNameOfAFolderIsTaken() throws {
        try fixture.write("x", to: "t/in/file")
        for path in ["t/in/.", "t/in/", "t/in//", "t/in/../in", "t/in/./"] {
            let tree = try fixture.scan([path])
            #expect(tree.name == "in", "\(path)")
            #expect(
                try fixture.decode(try fixture.bytes(of: try fixture.reader(tree)), of: tree).paths == [
                    "in/", "in/file",
                ])
        }
        #expect(try fixture.scan(["t/in/.."]).name == "t")
    }

    // MARK: - What is left out

    @Test func whatIsNoFileIsNamedAndLeftOut() throws {
        try fixture.write("x", to: "t/file")
        #expect(mkfifo(fixture.path("t/pipe\u{1b}"), 0o600) == 0)
        let socket = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(fixture.path("t/socket").utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let bound = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        let told = SourceFixture.Told()
        #expect(try fixture.scan(["t"], told: told).summary.entries == 2)
        #expect(told.all.count == 2)
        #expect(told.all.first?.contains("pipe\\u{1b}\" is left out: it is a named pipe") == true)
        #expect(told.all.last?.contains("socket\" is left out: it is a socket") == true)
    }

    @Test func onlyTheFirstOnesAreNamed() throws {
        try fixture.folder("t")
        for number in 0..<100 {
            #expect(mkfifo(fixture.path("t/pipe\(number)"), 0o600) == 0)
            #expect(symlink("x", fixture.path("t/link\(number)")) == 0)
        }
        let told = SourceFixture.Told()
        _ = try fixture.scan(["t"], told: told)
        #expect(told.all.count == 18)
        #expect(
            told.all.suffix(2) == [
                "links left out besides these: 92", "devices, named pipes and sockets left out besides these: 92",
            ])
    }

    @Test func whatIsExcludedIsNotSent() throws {
        for name in ["a.tmp", "a.txt", "build/out", "src/build/out", "src/keep", "src/x.tmp", "log/build"] {
            try fixture.write("x", to: "t/\(name)")
        }
        func paths(_ patterns: String...) throws -> [String] { try fixture.receive(["t"], exclude: patterns).paths }
        #expect(try paths("*.tmp", "build") == ["t/", "t/a.txt", "t/log/", "t/src/", "t/src/keep"])
        #expect(try paths("build/", "*.tmp") == ["t/", "t/a.txt", "t/log/", "t/log/build", "t/src/", "t/src/keep"])
        #expect(try paths("src/*", "/build", "t/log").prefix(4) == ["t/", "t/a.tmp", "t/a.txt", "t/src/"])
        try fixture.write("x", to: "u.tmp")
        #expect(try fixture.receive(["t", "u.tmp"], exclude: ["*.tmp", "t/*"]).paths == ["t/"])
    }

    /// Whatever is in it.
    @Test func anExcludedFolderIsNotEntered() throws {
        try fixture.write("x", to: "t/keep")
        let name = Array((fixture.path("t/") + "caf").utf8.map(CChar.init(bitPattern:))) + [CChar(bitPattern: 0xE9), 0]
        #expect(mkdir(name, 0o700) == 0)
        #expect(throws: FileError.self) { try fixture.scan(["t"]) }
        #expect(try fixture.receive(["t"], exclude: ["caf*"]).paths == ["t/", "t/keep"])
        let inner = try fixture.folder("t/inner")
        #expect(
            rename(
                name,
                Array(inner.utf8.map(CChar.init(bitPattern:))) + Array("/x\u{e9}".utf8.map(CChar.init(bitPattern:))) + [
                    0
                ]) == 0)
        #expect(try fixture.receive(["t"], exclude: ["inner"]).paths == ["t/", "t/keep"])
    }

    // MARK: - What cannot be sent

    @Test func aPathThatCannotBeSentIsAnErrorWithAdvice() throws {
        #expect(mkfifo(fixture.path("pipe"), 0o600) == 0)
        try fixture.write("x", to: "file")
        try fixture.write("x", to: "other/file")
        let words = [
            ["missing"]: "no such file", ["missing/."]: "no such file", ["caf\u{fffd}"]: "not UTF-8",
            ["missing\u{1b}"]: "\\u{1b}", ["pipe"]: "standard input", ["file/"]: "not a directory",
            ["file", "other/file"]: "are called \"file\"", ["file", "file"]: "are called \"file\"",
            [String(repeating: "n", count: 256)]: "may have 255",
        ]
        for (paths, word) in words { expectRefusal(word) { try fixture.scan(paths) } }
        let none = SourceOptions()
        for (path, word) in [
            "/": "root of all", "//.": "root of all", "/dev/null": "standard input", "": "no such file",
        ] {
            expectRefusal(word) { try SourceTree.scan([path], none) { _ in } }
        }
        expectRefusal("--exclude leaves out everything") { try fixture.scan(["file"], exclude: ["f*"]) }
    }

    private func expectRefusal(_ word: String, _ body: () throws -> SourceTree) {
        let error = #expect(throws: FileError.self) { _ = try body() }
        #expect(error?.code == .cannotRead)
        #expect(error?.status.rawValue == 66)
        #expect(error?.message.contains(word) == true, "\(error?.message ?? "") has not \(word)")
        #expect(error?.message.unicodeScalars.contains(where: DisplayName.isDangerous) == false)
    }

    @Test(arguments: ["file", "folder"])
    func whatThisUserCannotReadIsNamed(_ what: String) throws {
        try fixture.write("x", to: "t/in/folder/inner")
        try fixture.write("x", to: "t/in/file")
        #expect(chmod(fixture.path("t/in/\(what)"), 0) == 0)
        defer { chmod(fixture.path("t/in/\(what)"), 0o700) }
        if geteuid() == 0 { _ = setFileUser(65_534) }
        defer { _ = setFileUser(geteuid()) }
        expectRefusal("cannot read \"\(fixture.path("t/in/\(what)"))\": permission denied: make it readable") {
            try fixture.scan(["t"])
        }
        #expect(throws: Never.self) { try fixture.scan(["t"], exclude: [what]) }
    }

    @Test func moreBytesThanCanBeCountedAreRefused() throws {
        // The largest files that the file system takes.
        for number in 0..<40 {
            let file = try OpenFile(fixture.path("\(number)"), flags: O_WRONLY | O_CREAT, mode: 0o600)
            var size = off_t.max
            while ftruncate(file.descriptor, size) != 0 { size /= 2 }
            try #require(size > 1 << 30)
        }
        let tree = Result { () throws(FileError) in try fixture.scan((0..<40).map { "\($0)" }) }
        switch tree {
        case .success(let tree): #expect(tree.size.map { $0 > 40 << 30 } == true)
        case .failure(let error): #expect(error.message.contains("than one transfer can carry"))
        }
    }

    @Test func aNameThatIsNoTextIsNamed() throws {
        try fixture.write("x", to: "t/in/file")
        let name =
            Array((fixture.path("t/in/") + "caf").utf8.map(CChar.init(bitPattern:))) + [CChar(bitPattern: 0xE9), 0]
        #expect(rename(fixture.path("t/in/file"), name) == 0)
        expectRefusal("t/in/caf\u{fffd}\" cannot be sent under its name: it is not UTF-8: rename it") {
            try fixture.scan(["t"])
        }
    }

    // MARK: - Bounds

    /// No more folders are open than a few, whether they are scanned, read or looked at again.
    @Test func foldersAreAsDeepAsTheyMayBe() throws {
        let deepest = SealingDefaults.folderDepth
        try makeDeep(deepest, in: "t", content: "deep")
        let before = try openFiles()
        var most = 0
        let tree = try fixture.scan(["t"])
        let reader = try fixture.reader(tree)
        let stream = try fixture.bytes(of: reader) {
            most = max(most, (try? openFiles()) ?? 0)
            return 1_000
        }
        let received = try fixture.decode(stream, of: tree)
        #expect(received.entries.count == deepest * 2)
        #expect(received.files.count == deepest)
        #expect(received.files.allSatisfy { $0 == Array("deep".utf8) })
        // Other tests run at the same time.
        #expect(most <= before + Defaults.openFolders + 200)
        try tree.recheck()
        try makeDeep(deepest + 1, in: "u", content: "deep")
        expectRefusal("1024 folders within one another") { try fixture.scan(["u"]) }
    }

    /// Folders within one another, each with a file: behind its folder where that is entered last.
    private func makeDeep(_ depth: Int, in top: String, content: String) throws {
        try fixture.folder(top)
        var folder = try OpenFile(fixture.path(top), flags: O_RDONLY | O_DIRECTORY)
        for level in 0..<depth {
            let file = try OpenFile("z", in: folder, flags: O_WRONLY | O_CREAT, mode: 0o600)
            try content.utf8.withContiguousStorageIfAvailable {
                try SystemError.writeAll(UnsafeRawBufferPointer($0), to: file.descriptor)
            }
            guard level < depth - 1 else { break }
            try SystemError.check { mkdirat(folder.descriptor, "d", 0o700) }
            folder = try OpenFile("d", in: folder, flags: O_RDONLY | O_DIRECTORY)
        }
    }

    private func openFiles() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    private func set(time: timespec, of name: String) {
        var times = [time, time]
        #expect(utimensat(AT_FDCWD, fixture.path(name), &times, 0) == 0)
    }
}
