// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import PrivateFiles
import Synchronization
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// Files of one test that are sent, in a folder of their own.
final class SentFiles: Sendable {
    private let temporary: TemporaryDirectory
    private let state = Mutex((folders: 0, pipes: [OpenFile]()))

    /// From here on only the length of a file counts: nothing is written, it has a hole.
    private static let longestContent = 1 << 20

    init() throws { temporary = try TemporaryDirectory() }

    /// What a file of so many bytes has.
    static func content(_ size: Int) -> [UInt8] {
        let text = Array("content".utf8)
        return (0..<size).map { text[$0 % text.count] }
    }

    /// One file, looked at as it is now.
    func tree(_ name: String = "file", size: UInt64 = 3) throws -> SourceTree {
        try scan([try file(name, size: size)])
    }

    /// Looks at what is at `paths`.
    func scan(_ paths: [String]) throws -> SourceTree {
        try SourceTree.scan(paths, SourceOptions(exclude: [], keepsMetadata: false)) { _ in }
    }

    /// Makes a file in a folder of its own. Returns its path.
    func file(_ name: String, size: UInt64 = 3) throws -> String {
        let path = try folder() + "/" + name
        let content = size <= Self.longestContent ? Self.content(Int(size)) : []
        try Data(content).write(to: URL(fileURLWithPath: path))
        if size > Self.longestContent { #expect(unsafe truncate(path, off_t(size)) == 0) }
        return path
    }

    /// Makes a folder with files of these sizes in it: `0`, `1` …. Returns its path.
    func folder(of sizes: [Int]) throws -> String {
        let path = try folder()
        for (index, size) in sizes.enumerated() {
            try Data(Self.content(size)).write(to: URL(fileURLWithPath: "\(path)/\(index)"))
        }
        return path
    }

    /// A new folder.
    private func folder() throws -> String {
        let number = state.withLock { state in
            state.folders += 1
            return state.folders
        }
        let path = temporary.file("\(number)")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        return path
    }

    /// The first file of `tree` is written to.
    func change(_ tree: SourceTree) throws {
        try Data("something else".utf8).write(to: URL(fileURLWithPath: try #require(tree.paths.first)))
    }

    /// Standard input with this content: it can be read once.
    ///
    /// - Parameter isWhole: whether its end has come; else, reading waits behind the content for ever.
    func pipe(_ content: String = "content", isWhole: Bool = true) throws -> SourceTree {
        var ends: [Int32] = [0, 0]
        try SystemError.check { unsafe Glibc.pipe(&ends) }
        let (read, write) = (OpenFile(descriptor: ends[0]), OpenFile(descriptor: ends[1]))
        let bytes = Array(content.utf8)
        try unsafe bytes.withUnsafeBytes { try unsafe SystemError.writeAll($0, to: write.descriptor) }
        state.withLock { $0.pipes += isWhole ? [read] : [read, write] }
        return try SourceTree.standardInput(name: "stdin", descriptor: read.descriptor)
    }
}
