// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Synchronization
import TestSupport

@testable import RelayClientProgram
@testable import TransferClient

/// A folder for one test, seen as the receiver sees it and from outside.
struct ReceivedFolder {
    let temporary: TemporaryDirectory
    /// The folder that is received into; it has a neighbour called `outside`.
    let path: String
    let directory: ReceiveDirectory

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("inbox")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try FileManager.default.createDirectory(atPath: temporary.file("outside"), withIntermediateDirectories: false)
        let remarks = remarks
        directory = try ReceiveDirectory.open(path) { remark in remarks.add(remark) }
    }

    /// What the person was told although nothing has failed.
    let remarks = Told()

    /// Sentences, in order.
    final class Told: Sendable {
        private let sentences = Mutex<[String]>([])

        /// All so far.
        var all: [String] { sentences.withLock { $0 } }

        fileprivate func add(_ sentence: String) { sentences.withLock { $0.append(sentence) } }
    }

    /// The path of the neighbour.
    var outside: String { temporary.file("outside") }

    /// What is in the folder, hidden files too.
    func listing() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    /// What is in the neighbour.
    func outsideListing() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: outside).sorted() }

    /// The content of the file at `path`.
    func content(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// The one hidden `.part` file.
    func partial() throws -> String? { try listing().first { name in name.hasSuffix(".part") } }
}

/// The error that `body` throws, where that is a ``FileError``.
func fileError(_ body: () async throws -> Void) async -> FileError? {
    do {
        try await body()
        return nil
    } catch {
        return ClientError(error).file
    }
}
