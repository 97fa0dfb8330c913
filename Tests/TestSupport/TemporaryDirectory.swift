// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A folder of its own for one test; removed with everything in it when this object goes away.
package final class TemporaryDirectory: Sendable {
    /// The folder's path.
    package let path: String

    /// Makes the folder.
    package init() throws {
        // Short, because the path of a socket has little room.
        let name = "relay-test-\(UUID().uuidString.prefix(8))"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of `name` in the folder.
    package func file(_ name: String) -> String { path + "/" + name }

    /// Writes a file into the folder; returns its path.
    @discardableResult
    package func write(_ data: Data, to name: String) throws -> String {
        let path = file(name)
        try data.write(to: URL(fileURLWithPath: path))
        return path
    }

    /// The names of the files in the folder (or in a folder of it), sorted.
    package func names(in folder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder).sorted()
    }

    /// The permission bits of a file.
    package static func mode(of path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
}
