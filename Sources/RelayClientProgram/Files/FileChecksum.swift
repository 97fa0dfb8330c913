// SPDX-License-Identifier: Apache-2.0

import Crypto
import Glibc
import PrivateFiles
import TransferClient

/// The SHA-256 of a file, for people who want to compare it with one from elsewhere. Transfers do not need it.
enum FileChecksum {
    /// 64 lower-case hex digits; nil where `path` is no file. Blocks for as long as reading it takes.
    static func sha256(ofFileAt path: String) throws(FileError) -> String? {
        do throws(SystemError) {
            let file = try OpenFile(path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
            guard try file.status().st_mode & S_IFMT == S_IFREG else { return nil }
            var hash = SHA256()
            var space = [UInt8](repeating: 0, count: Defaults.maximumRead)
            while true {
                let count = try SystemError.check { unsafe read(file.descriptor, &space, space.count) }
                guard count > 0 else { break }
                unsafe space.withUnsafeBytes { unsafe hash.update(bufferPointer: .init(rebasing: $0.prefix(count))) }
            }
            return hex(hash.finalize())
        } catch {
            throw FileError(
                code: .readFailed, message: "reading \"\(DisplayName.escape(path))\" failed: \(error.phrase)"
            )
        }
    }

    private static func hex(_ digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
