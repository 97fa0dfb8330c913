// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import Glibc
import NIOCore
import PrivateFiles
import Sealing

/// Writes the entries of a manifest, as they come, to the file that keeps them.
struct ManifestFileWriter {
    private let file: OpenFile
    private let calls: FileCalls
    private var encoder = ManifestEncoder()
    private var buffer = ByteBuffer()
    /// The bytes that are in the file.
    private(set) var length: UInt64 = 0

    init(_ file: OpenFile, calls: FileCalls) {
        self.file = file
        self.calls = calls
    }

    var entries: UInt64 { encoder.entries }
    var files: UInt64 { encoder.files }
    /// The digest of all entries so far.
    var digest: ManifestDigest { encoder.soFar }

    /// Takes the next entry.
    mutating func write(_ entry: ManifestEntry) throws(TreeFault) {
        do { try encoder.write(entry, into: &buffer) } catch { throw .damaged }
        if buffer.readableBytes >= Defaults.manifestBuffer { try flush() }
    }

    /// Writes what has gathered.
    mutating func flush() throws(TreeFault) {
        do { try calls.writeAll(buffer, to: file.descriptor, at: length) } catch { throw .system(error, "") }
        length += UInt64(buffer.readableBytes)
        buffer.clear()
    }
}

/// Reads them back, one after the other.
struct ManifestFileReader {
    private let file: OpenFile
    private let length: UInt64
    private var reader = ManifestReader()
    private var buffer = ByteBuffer()
    private var position: UInt64 = 0

    /// - Parameter length: the bytes of it that were written.
    init(_ file: OpenFile, length: UInt64) {
        self.file = file
        self.length = length
    }

    /// The number of the entry that comes next.
    var number: UInt64 { reader.count }

    /// The next entry; nil at the end. A file that cannot be read is as good as a damaged one.
    mutating func next() throws(TreeFault) -> ManifestEntry? {
        do { return try readEntry() } catch { throw .damaged }
    }

    private mutating func readEntry() throws -> ManifestEntry? {
        while true {
            if let entry = try reader.next(from: &buffer) { return entry }
            guard position < length else {
                guard buffer.readableBytes == 0 else { throw SystemError(code: EIO) }
                return nil
            }
            buffer.discardReadBytes()
            let wanted = Int(min(length - position, UInt64(Defaults.manifestBuffer)))
            let count = try file.read(into: &buffer, atMost: wanted, at: position)
            // It is shorter than it was.
            guard count > 0 else { throw SystemError(code: EIO) }
            position += UInt64(count)
        }
    }

    /// The digest of the first `length` bytes of a file; nil when it has fewer.
    static func digest(of file: OpenFile, length: UInt64) throws(SystemError) -> ManifestDigest? {
        var hash = SHA256()
        var position: UInt64 = 0
        var buffer = ByteBuffer()
        while position < length {
            buffer.clear()
            let wanted = Int(min(length - position, UInt64(Defaults.manifestBuffer)))
            let count = try file.read(into: &buffer, atMost: wanted, at: position)
            guard count > 0 else { return nil }
            hash.update(data: Array(buffer.readableBytesView))
            position += UInt64(count)
        }
        return Array(hash.finalize())
    }
}
