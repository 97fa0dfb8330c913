// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
import Glibc

/// Reads files that are small when all is well.
package enum BoundedFile {
    /// The contents of the file at `path`.
    /// - Throws: what the system says; EFBIG when there is more than `limit` bytes.
    package static func read(_ path: String, limit: Int) throws(SystemError) -> Data {
        let file = try SystemError.check { unsafe open(path, O_RDONLY | O_CLOEXEC) }
        defer { close(file) }
        return try read(file, limit: limit)
    }

    /// What is left to read of an open file.
    package static func read(_ file: CInt, limit: Int) throws(SystemError) -> Data {
        var contents = Data()
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while contents.count <= limit {
            let count = try SystemError.check {
                unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { return contents }
            contents.append(contentsOf: chunk.prefix(count))
        }
        throw SystemError(code: EFBIG)
    }
}
