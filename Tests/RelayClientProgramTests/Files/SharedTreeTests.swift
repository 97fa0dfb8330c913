// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// What others get of what is shared, and what they never get.
@Suite(.timeLimit(.minutes(5))) struct SharedTreeTests {
    let fixture: SourceFixture

    init() throws {
        fixture = try SourceFixture()
        try fixture.write("a", to: "pub/a.txt")
        try fixture.write("inner", to: "pub/folder/inner.txt")
        try fixture.write("secret", to: "secret/key")
        try fixture.write("secret", to: "secret/inner.txt")
        try fixture.write("file", to: "one.txt")
    }

    private func shared(_ names: [String] = ["pub", "one.txt"], preserve: Bool = false) throws(FileError) -> SharedTree
    {
        try SharedTree(names.map(fixture.path), SourceOptions(keepsMetadata: preserve))
    }

    private func tree(_ paths: String..., in shared: SharedTree) throws -> SourceTree {
        try shared.tree(of: paths.map { try PullPath($0) }) { _ in }
    }

    private func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: fixture.path(name), withDestinationPath: target)
    }

    /// The entries at a path, as `name/`, `name@` or `name:size`.
    private func listed(_ path: String, in shared: SharedTree) throws -> [String] {
        let listing = try shared.listing(of: try PullPath(path))
        var bytes = ByteBuffer()
        while try listing.read(7, into: &bytes) > 0 {}
        var reader = ListingReader()
        let entries = try reader.append(bytes.readableBytesView)
        try reader.finish()
        return entries.map { entry in
            switch entry.kind {
            case .folder: entry.name.text + "/"
            case .link: entry.name.text + "@"
            case .file: "\(entry.name.text):\(entry.size ?? 0)"
            }
        }
    }

    private func contents(_ tree: SourceTree) throws -> [String: String] {
        let received = try fixture.decode(try fixture.bytes(of: try fixture.reader(tree)), of: tree)
        return received.contents.mapValues { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: - What there is

    @Test func whatIsSharedIsListedAndSent() throws {
        let shared = try shared()
        #expect(shared.names == ["one.txt", "pub"])
        #expect(try listed("", in: shared) == ["one.txt:4", "pub/"])
        #expect(try listed("pub", in: shared) == ["a.txt:1", "folder/"])
        #expect(try listed("pub/folder", in: shared) == ["inner.txt:5"])
        #expect(try listed("pub/a.txt", in: shared) == ["a.txt:1"])
        #expect(try contents(tree("pub", in: shared)) == ["pub/a.txt": "a", "pub/folder/inner.txt": "inner"])
        #expect(try contents(tree("pub/folder/inner.txt", in: shared)) == ["inner.txt": "inner"])
        #expect(
            try contents(tree("pub/folder", "one.txt", in: shared)).keys.sorted() == ["folder/inner.txt", "one.txt"])
    }

    @Test func whatHasComeSinceIsThere() throws {
        let shared = try shared()
        try fixture.write("new", to: "pub/new/file")
        #expect(try listed("pub/new", in: shared) == ["file:3"])
        #expect(try contents(tree("pub/new/file", in: shared)) == ["file": "new"])
        // Another file in its place is shared as well.
        try FileManager.default.removeItem(atPath: fixture.path("one.txt"))
        #expect(try listed("", in: shared) == ["pub/"])
        try fixture.write("again!", to: "one.txt")
        #expect(try contents(tree("one.txt", in: shared)) == ["one.txt": "again!"])
    }

    @Test func aLinkThatThePersonNamedIsFollowedOnce() throws {
        try link("current", to: "pub")
        let shared = try shared(["current"])
        #expect(try listed("current", in: shared) == ["a.txt:1", "folder/"])
        try FileManager.default.removeItem(atPath: fixture.path("current"))
        try link("current", to: "secret")
        #expect(try listed("current", in: shared) == ["a.txt:1", "folder/"])
        #expect(try contents(tree("current/a.txt", in: shared)) == ["a.txt": "a"])
    }

    @Test func namesAreOncePerShare() throws {
        try fixture.write("", to: "other/pub")
        #expect(throws: FileError.self) { try shared(["pub", "other/pub"]) }
        #expect(throws: FileError.self) { try shared(["pub", "pub/"]) }
        #expect(throws: FileError.self) { try shared(["nothing"]) }
        let fifo = fixture.path("fifo")
        #expect(unsafe mkfifo(fifo, 0o600) == 0)
        #expect(throws: FileError.self) { try shared(["fifo"]) }
    }

    // MARK: - What no requester gets

    /// Why a path gets nothing: of the list and of the content.
    private func refusals(_ path: String, in shared: SharedTree) throws -> [String?] {
        let path = try PullPath(path)
        var codes: [String?] = []
        do throws(SharedFault) {
            _ = try shared.listing(of: path)
            codes.append(nil)
        } catch {
            codes.append(error.code.rawValue)
        }
        do throws(SharedFault) {
            _ = try shared.tree(of: [path]) { _ in }
            codes.append(nil)
        } catch {
            codes.append(error.code.rawValue)
        }
        return codes
    }

    @Test func whatIsNotThereIsNotShared() throws {
        let shared = try shared()
        for path in ["secret", "pub/none", "pub/none/a", "pub/a.txt/b", "one.txt/a", "tmp", "PUB", "pub ", "key"] {
            #expect(try refusals(path, in: shared) == ["not_shared", "not_shared"], "\(path)")
        }
    }

    @Test(arguments: [false, true]) func noLinkLeadsOut(preserve: Bool) throws {
        try link("pub/out", to: "../secret")
        try link("pub/absolute", to: fixture.path("secret"))
        try link("pub/key", to: "../secret/key")
        try link("pub/loop", to: "loop")
        try link("pub/within", to: "folder")
        let shared = try shared(preserve: preserve)
        for path in [
            "pub/out/key", "pub/absolute/key", "pub/out/../key".replacing("/..", with: ""), "pub/within/inner.txt",
        ] {
            #expect(try refusals(path, in: shared) == ["not_shared", "not_shared"], "\(path)")
        }
        // That there is a link is seen; what it leads to is not.
        for path in ["pub/out", "pub/absolute", "pub/key", "pub/loop", "pub/within"] {
            #expect(try refusals(path, in: shared)[1] == "not_shared", "\(path)")
        }
        #expect(
            try listed("pub", in: shared) == [
                "a.txt:1", "absolute@", "folder/", "key@", "loop@", "out@", "within@",
            ])
        #expect(try listed("pub/key", in: shared) == ["key@"])
        let all = try tree("pub", in: shared)
        #expect(try !contents(all).values.contains("secret"))
    }

    @Test func whatIsNoFileIsNeitherListedNorSent() throws {
        let fifo = fixture.path("pub/fifo")
        #expect(unsafe mkfifo(fifo, 0o600) == 0)
        let shared = try shared()
        #expect(try listed("pub", in: shared) == ["a.txt:1", "folder/"])
        #expect(try refusals("pub/fifo", in: shared)[1] == "cannot_read")
        #expect(try contents(tree("pub", in: shared)).count == 2)
    }

    @Test func aSharedPathThatBecomesALinkLeadsNowhere() throws {
        let shared = try shared()
        let (pub, away) = (fixture.path("pub"), fixture.path("away"))
        try FileManager.default.moveItem(atPath: pub, toPath: away)
        try link("pub", to: "secret")
        #expect(try refusals("pub/key", in: shared) == ["not_shared", "not_shared"])
        #expect(try refusals("pub", in: shared)[1] == "not_shared")
    }

    /// Another process moves a folder away, and puts a link to what is secret in its place, again and again.
    @Test func movingThingsWhileTheyAreReadLeadsNowhere() throws {
        let shared = try shared()
        let stop = Atomic(false)
        let (folder, away, out) = (fixture.path("pub/folder"), fixture.path("pub/away"), fixture.path("pub/out"))
        try link("pub/out", to: "../secret")
        let thread = Thread {
            while !stop.load(ordering: .relaxed) {
                unsafe rename(folder, away)
                unsafe rename(out, folder)
                unsafe rename(folder, out)
                unsafe rename(away, folder)
            }
        }
        thread.start()
        var found = 0
        for _ in 0..<3_000 {
            guard let tree = try? tree("pub/folder", in: shared) else { continue }
            guard let contents = try? contents(tree) else { continue }
            found += 1
            #expect(!contents.values.contains("secret"))
            if let listed = try? listed("pub/folder", in: shared) { #expect(!listed.contains("key:6")) }
        }
        stop.store(true, ordering: .relaxed)
        #expect(found > 0)
    }
}
