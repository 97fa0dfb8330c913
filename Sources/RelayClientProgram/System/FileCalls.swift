// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import PrivateFiles

/// The calls that write received content and complete it. Each returns -1 and sets `errno` as the system's own do, so
/// that a test can let any of them fail, and see in which order they come.
struct FileCalls: Sendable {
    // MARK: Writing

    /// pwrite(2)
    var write: @Sendable (_ file: Int32, _ bytes: ByteBuffer, _ offset: Int64) -> Int = { file, bytes, offset in
        unsafe bytes.withUnsafeReadableBytes { bytes in
            unsafe pwrite(file, bytes.baseAddress, bytes.count, off_t(offset))
        }
    }
    /// fallocate(2) of what is to come, which leaves the size as it is. Nothing where files are memory: there it takes
    /// all of that memory at once, a second for some gigabytes, during which nothing else is received, and it tells
    /// nothing that the free space did not.
    var reserve: @Sendable (_ file: Int32, _ offset: Int64, _ length: Int64) -> Int32 = { file, offset, length in
        CLinux_file_system_type(file) == FileCalls.memoryFileSystem
            ? 0 : CLinux_reserve_part(file, off_t(offset), off_t(length))
    }
    /// fallocate(2) that takes such a reservation back
    var punchHole: @Sendable (_ file: Int32, _ offset: Int64, _ length: Int64) -> Int32 = { file, offset, length in
        CLinux_punch_hole(file, off_t(offset), off_t(length))
    }
    /// sync_file_range(2), which begins to write and does not wait
    var startWriteBack: @Sendable (_ file: Int32, _ offset: Int64, _ length: Int64) -> Int32 = { file, offset, length in
        CLinux_start_write_back(file, off_t(offset), off_t(length))
    }
    /// ftruncate(2)
    var truncate: @Sendable (_ file: Int32, _ length: Int64) -> Int32 = { file, length in ftruncate(file, off_t(length))
    }

    // MARK: Metadata

    /// fchmod(2)
    var setMode: @Sendable (_ file: Int32, _ mode: UInt32) -> Int32 = { file, mode in fchmod(file, mode) }
    /// futimens(2) of the time of modification
    var setTime: @Sendable (_ file: Int32, _ time: FileTime) -> Int32 = { file, time in time.set(of: file) }

    // MARK: Durability

    /// fsync(2) of a file
    var syncFile: @Sendable (_ file: Int32) -> Int32 = { file in fsync(file) }
    /// fdatasync(2) of a file
    var syncData: @Sendable (_ file: Int32) -> Int32 = { file in fdatasync(file) }
    /// fsync(2) of a folder
    var syncFolder: @Sendable (_ folder: Int32) -> Int32 = { folder in fsync(folder) }
    /// syncfs(2) of the file system of an open file
    var syncAll: @Sendable (_ file: Int32) -> Int32 = { file in CLinux_sync_file_system(file) }

    // MARK: Names

    /// renameat2(2) with RENAME_NOREPLACE
    var rename: @Sendable (_ folder: Int32, _ from: String, _ target: Int32, _ to: String) -> Int32 = {
        folder, from, target, to in
        unsafe CLinux_rename_noreplace(folder, from, target, to)
    }
    /// linkat(2)
    var link: @Sendable (_ folder: Int32, _ from: String, _ target: Int32, _ to: String) -> Int32 = {
        folder, from, target, to in
        unsafe linkat(folder, from, target, to, 0)
    }
    /// renameat(2)
    var replace: @Sendable (_ folder: Int32, _ from: String, _ target: Int32, _ to: String) -> Int32 = {
        folder, from, target, to in
        unsafe renameat(folder, from, target, to)
    }
    /// unlinkat(2)
    var remove: @Sendable (_ folder: Int32, _ name: String) -> Int32 = { folder, name in
        unsafe unlinkat(folder, name, 0)
    }

    /// What statfs(2) says of tmpfs.
    private static let memoryFileSystem = 0x0102_1994

    /// The system's own.
    static let system = FileCalls()

    /// Writes all that can be read of `bytes` at `offset`.
    func writeAll(_ bytes: ByteBuffer, to file: Int32, at offset: UInt64) throws(SystemError) {
        guard var position = Int64(exactly: offset) else { throw SystemError(code: EFBIG) }
        var rest = bytes
        while rest.readableBytes > 0 {
            let next = rest
            let count = try SystemError.check { write(file, next, position) }
            position += Int64(count)
            rest.moveReaderIndex(forwardBy: count)
        }
    }
}
