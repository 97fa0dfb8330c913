// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import PrivateFiles
import Sealing
import TransferClient

extension FileChecksum {
    /// Of all that is in `file`. Blocks for as long as reading it takes.
    static func sha256(of file: OpenFile) throws(SystemError) -> String {
        var hash = SHA256()
        var offset: UInt64 = 0
        var buffer = ByteBuffer()
        while true {
            buffer.clear()
            let count = try file.read(into: &buffer, atMost: Defaults.maximumRead, at: offset)
            guard count > 0 else { return hex(hash.finalize()) }
            hash.update(buffer, last: count)
            offset += UInt64(count)
        }
    }

    fileprivate static func hex(_ digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

/// Takes the checksums of files while their bytes come by. Those of which something has gone before have none.
struct ChecksumTaking: Sendable {
    /// By the number of the file.
    private(set) var taken: [UInt64: String] = [:]
    private var file: UInt64 = 0
    /// Of the file that is under way; nil where its beginning is missing.
    private var hash: SHA256?

    /// The next bytes are of that file.
    mutating func begin(_ position: TransferPosition) {
        file = position.file
        hash = position.offset == 0 ? SHA256() : nil
    }

    /// Takes the last `count` bytes of `buffer`.
    mutating func update(_ buffer: ByteBuffer, last count: Int) { hash?.update(buffer, last: count) }

    /// Takes zero bytes.
    mutating func skip(_ hole: UInt64) {
        guard hash != nil else { return }
        let zeros = ByteBuffer(repeating: 0, count: Int(min(hole, UInt64(Defaults.maximumRead))))
        var rest = hole
        while rest > 0 {
            let count = min(rest, UInt64(zeros.readableBytes))
            hash?.update(zeros, last: Int(count))
            rest -= count
        }
    }

    /// The file is whole.
    mutating func end() {
        if let hash { taken[file] = FileChecksum.hex(hash.finalize()) }
        hash = nil
    }
}

extension SHA256 {
    fileprivate mutating func update(_ buffer: ByteBuffer, last count: Int) {
        unsafe buffer.withUnsafeReadableBytes { bytes in
            unsafe update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes.suffix(count)))
        }
    }
}
