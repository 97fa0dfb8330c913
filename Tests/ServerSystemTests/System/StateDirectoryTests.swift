// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import ServerSystem

@Suite("The state directory")
struct StateDirectoryTests {
    private let temporary: TemporaryDirectory

    init() throws { temporary = try TemporaryDirectory() }

    private static func isLocked(_ error: any Error) -> Bool { (error as? OperatorError)?.status == .unavailable }

    /// A program that another test starts has the lock, too, until it is executed.
    private func reopen(_ path: String) async throws -> StateDirectory {
        try await eventually("the lock", despite: Self.isLocked, attempt: { try StateDirectory(path: path) })
    }

    @Test("is made with its parents, for the owner alone")
    func made() throws {
        let path = temporary.file("a/b")
        _ = try StateDirectory(path: path)
        #expect(try TemporaryDirectory.mode(of: path) == 0o700)
        #expect(try TemporaryDirectory.mode(of: path + "/lock") == 0o600)
    }

    @Test("serves one process at a time, and is free again when it ends")
    func locked() async throws {
        let path = temporary.file("state")
        var first: StateDirectory? = try StateDirectory(path: path)
        #expect(first?.path == path)
        let error = #expect(throws: OperatorError.self) { _ = try StateDirectory(path: path) }
        #expect(error?.status == .unavailable)
        first = nil
        _ = try await reopen(path)
    }

    @Test("is closed to others when it is empty or a relay's, and refused when it is something else")
    func access() async throws {
        let path = temporary.file("state")
        let files = FileManager.default
        try files.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755]
        )
        _ = try StateDirectory(path: path)
        #expect(try TemporaryDirectory.mode(of: path) == 0o700)
        try files.setAttributes([.posixPermissions: 0o750], ofItemAtPath: path)
        _ = try await reopen(path)
        #expect(try TemporaryDirectory.mode(of: path) == 0o700)

        let foreign = temporary.file("foreign")
        try files.createDirectory(
            atPath: foreign, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755]
        )
        #expect(files.createFile(atPath: foreign + "/photo.jpg", contents: nil))
        let error = #expect(throws: OperatorError.self) { _ = try StateDirectory(path: foreign) }
        #expect(error?.status == .configuration)
        #expect(try TemporaryDirectory.mode(of: foreign) == 0o755)
    }

    @Test("a file in its place, and an empty path, are refused in words", arguments: ["", "file", "file/below"])
    func notADirectory(name: String) throws {
        #expect(FileManager.default.createFile(atPath: temporary.file("file"), contents: nil))
        let path = name.isEmpty ? "" : temporary.file(name)
        let error = #expect(throws: OperatorError.self) { _ = try StateDirectory(path: path) }
        #expect(error?.status == .configuration)
    }
}
