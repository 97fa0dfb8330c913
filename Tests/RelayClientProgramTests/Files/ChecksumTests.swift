// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// The checksums of what is sent, which are taken while it is read.
struct ChecksumTests {
    private let fixture: SourceFixture

    init() throws { fixture = try SourceFixture() }

    private static func sha256(_ content: some DataProtocol) -> String {
        SHA256.hash(data: content).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// A tree with a file in a folder, an empty one, one with a hole, and one at the top.
    private func tree() throws -> (tree: SourceTree, content: [String: Data]) {
        var content = ["t/a": Data("first".utf8), "t/in/b": Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })]
        content["t/in/empty"] = Data()
        for (path, data) in content {
            try fixture.write("", to: path)
            try data.write(to: fixture.url(path))
        }
        try fixture.write("head", to: "t/sparse")
        #expect(unsafe truncate(fixture.path("t/sparse"), 5_000_000) == 0)
        content["t/sparse"] = Data("head".utf8) + Data(count: 4_999_996)
        try fixture.write("top", to: "z")
        content["z"] = Data("top".utf8)
        return (try fixture.scan(["t", "z"]), content)
    }

    private func expect(_ checksums: [FileChecksum], areOf content: [String: Data]) {
        #expect(checksums.map(\.path) == content.keys.sorted())
        for checksum in checksums { #expect(checksum.sha256 == Self.sha256(content[checksum.path] ?? Data([1]))) }
    }

    private func reader(_ tree: SourceTree, _ position: TransferPosition = .beginning) throws -> SourceReader {
        try tree.reader(
            for: fixture.transfer, from: position, wantsByNote: false, signedBy: fixture.identity, takesChecksums: true)
    }

    @Test func theyAreThoseOfEachFileAndNothingIsReadTwice() throws {
        let (tree, content) = try tree()
        let reader = try reader(tree)
        #expect(tree.checksums().isEmpty)
        _ = try fixture.bytes(of: reader) { 70_000 }
        // What is gone could not be read once more.
        try FileManager.default.removeItem(atPath: fixture.path("t"))
        reader.completeChecksums()
        expect(tree.checksums(), areOf: content)
    }

    @Test func noneIsComputedUnasked() throws {
        let (tree, _) = try tree()
        let reader = try fixture.reader(tree)
        _ = try fixture.bytes(of: reader)
        reader.completeChecksums()
        #expect(tree.checksums().isEmpty)
    }

    /// Of what an earlier process has sent, they are read at the end.
    @Test(arguments: [(1, 0), (1, 100_000), (5, 0)]) func whatGoesOnHasThemAll(_ file: UInt64, _ offset: UInt64) throws
    {
        let (tree, content) = try tree()
        let reader = try reader(tree, TransferPosition(file: file, offset: offset))
        _ = try fixture.bytes(of: reader)
        let before = tree.checksums().map(\.path)
        #expect(before == Array(content.keys.sorted().dropFirst(Int(file) + (offset > 0 ? 1 : 0))))
        reader.completeChecksums()
        expect(tree.checksums(), areOf: content)
    }

    @Test func whatHasChangedSinceItWasSentHasNone() throws {
        let (tree, content) = try tree()
        let reader = try reader(tree, TransferPosition(file: 5, offset: 0))
        _ = try fixture.bytes(of: reader)
        try fixture.write("other", to: "z")
        reader.completeChecksums()
        #expect(tree.checksums().map(\.path) == content.keys.sorted().dropLast())
    }

    /// Standard input, and a file that only its end says the size of.
    @Test func whatHasNoKnownSizeHasOne() throws {
        let sent = try SentFiles()
        let pipe = try sent.pipe("from a pipe")
        _ = try fixture.bytes(of: try reader(pipe))
        #expect(pipe.checksums().map(\.sha256) == [Self.sha256(Data("from a pipe".utf8))])
        let version = try SourceTree.scan(["/proc/version"], SourceOptions()) { _ in }
        _ = try fixture.bytes(of: try reader(version))
        let text = try #require(FileManager.default.contents(atPath: "/proc/version"))
        #expect(version.checksums() == [FileChecksum(path: "version", sha256: Self.sha256(text))])
    }
}

extension SourceFixture {
    fileprivate func url(_ name: String) -> URL { URL(fileURLWithPath: path(name)) }
}
