// SPDX-License-Identifier: Apache-2.0

import Foundation
import WSProtocol

@testable import RelayServer

/// A directory of one test's own, removed with the value that holds it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let name = "relay-test-\(UUID().uuidString.prefix(8))"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of `name` in the directory.
    func file(_ name: String) -> String { path + "/" + name }

    /// The names of the files in the directory (or in a directory of it).
    func names(in directory: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + directory).sorted()
    }

    /// The permission bits of a file.
    static func mode(of path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
}

extension PeerName {
    /// A name that is known to be valid.
    static func test(_ text: String) -> PeerName {
        guard let name = PeerName(rawValue: text) else { fatalError("not a name: \(text)") }
        return name
    }
}
